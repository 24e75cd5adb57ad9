/** The real nginx and HAProxy, with the configurations that the docs recommend and the ports of a test. */

import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './hydrogen.ts';
import { freePortBase } from './ports.ts';
import { startServer, untilReady } from './server-process.ts';

export const proxyPrograms = {
  nginx: {
    configuration: 'examples/proxies/nginx.conf',
    args: (file: string, directory: string): string[] => [
      '-c',
      file,
      '-p',
      directory,
      '-g',
      'daemon off; pid nginx.pid;',
    ],
  },
  haproxy: { configuration: 'examples/proxies/haproxy.cfg', args: (file: string): string[] => ['-db', '-f', file] },
} as const;

export type ProxyProgram = keyof typeof proxyPrograms;

/** Why tests with this program are skipped here; false when it is installed. */
export function missingProgram(name: ProxyProgram): string | false {
  if (spawnSync(name, ['-v']).error === undefined) return false;
  if (process.env.CI) throw new Error(`${name} is not installed`);
  return `${name} is not installed: apt-get install nginx-light haproxy`;
}

export interface RunningProxy extends AsyncDisposable {
  url(path: string): string;
}

/** @param gatewayPort on 127.0.0.1 */
export async function startProxy(name: ProxyProgram, gatewayPort: number): Promise<RunningProxy> {
  const { configuration, args } = proxyPrograms[name];
  const directory = await mkdtemp(join(tmpdir(), `hydrogen-${name}-`));
  const port = await freePortBase();
  const text = await readFile(join(root, configuration), 'utf8');
  const file = join(directory, 'proxy.conf');
  await writeFile(
    file,
    text.replace('127.0.0.1:8080', `127.0.0.1:${gatewayPort}`).replace('127.0.0.1:8000', `127.0.0.1:${port}`),
  );
  const server = startServer(name, args(file, directory));
  await untilReady(server, () => canConnect(port));
  return {
    url: (path) => `ws://127.0.0.1:${port}${path}`,
    async [Symbol.asyncDispose]() {
      await server.stop('SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
