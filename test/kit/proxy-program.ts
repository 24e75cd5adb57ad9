/** The real nginx and HAProxy, with the configurations that the docs recommend and the ports of a test. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './hydrogen.ts';
import { binaryIn, environmentOf, packagedProgram } from './packaged-program.ts';
import { canConnect, freePortBase } from './ports.ts';
import { obtain, type Program } from './program.ts';
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

const programs: Readonly<Record<ProxyProgram, Program>> = {
  nginx: packagedProgram('nginx', ['nginx']),
  haproxy: packagedProgram('haproxy', ['haproxy', 'liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1']),
};

/** Why tests with this program are skipped here, under CI too, since only some distributions have it; or false. */
export async function missingProgram(name: ProxyProgram): Promise<string | false> {
  try {
    await obtain(programs[name]);
    return false;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
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
  const programRoot = await obtain(programs[name]);
  const server = startServer(await binaryIn(programRoot, name), args(file, directory), environmentOf(programRoot));
  await untilReady(server, () => canConnect(port));
  return {
    url: (path) => `ws://127.0.0.1:${port}${path}`,
    async [Symbol.asyncDispose]() {
      await server.stop('SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
  };
}
