/** The real nginx and HAProxy, with the configurations that the docs recommend and the ports of a test. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GatewayPorts } from '../../runtime/gateway/gateway.ts';
import { eventually } from './eventually.ts';
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
      '-e',
      'stderr',
      '-g',
      'daemon off; pid nginx.pid;',
    ],
    reloadSignal: 'SIGHUP',
    startedText: '',
    upstream: (text: string, gateways: readonly GatewayPorts[]): string =>
      text
        .replace('server 127.0.0.1:8080;', gateways.map(({ client }) => `server 127.0.0.1:${client};`).join('\n'))
        // The folders that were compiled in exist only where the package is installed.
        .replace(
          'http {',
          `http {\naccess_log off;\n${temporary.map((kind) => `${kind}_temp_path ${kind};\n`).join('')}`,
        ),
  },
  haproxy: {
    configuration: 'examples/proxies/haproxy.cfg',
    // As a master with workers, which can be reloaded.
    args: (file: string): string[] => ['-W', '-f', file],
    reloadSignal: 'SIGUSR2',
    startedText: 'Loading success',
    upstream: (text: string, gateways: readonly GatewayPorts[]): string =>
      text.replace('server gateway 127.0.0.1:8080 check port 9090', () =>
        gateways
          .map(({ client, probes }, index) => `server gateway${index} 127.0.0.1:${client} check port ${probes}`)
          .join('\n'),
      ),
  },
} as const;

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

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
  /** Reloads it with other gateways. Which process listens from then on is seen by where upgrades go. */
  reload(gateways: readonly GatewayPorts[]): Promise<void>;
  /** Ends it as its service manager does. */
  stop(): Promise<void>;
}

/** @param changes further replacements in the configuration, each of which must apply */
export async function startProxy(
  name: ProxyProgram,
  gateways: readonly GatewayPorts[],
  changes: readonly (readonly [from: string, to: string])[] = [],
): Promise<RunningProxy> {
  const { configuration, args, upstream, reloadSignal, startedText } = proxyPrograms[name];
  const directory = await mkdtemp(join(tmpdir(), `hydrogen-${name}-`));
  const port = await freePortBase();
  const text = await readFile(join(root, configuration), 'utf8');
  const file = join(directory, 'proxy.conf');
  const write = (ports: readonly GatewayPorts[]): Promise<void> => {
    const replaced = [['127.0.0.1:8000', `127.0.0.1:${port}`] as const, ...changes].reduce((before, [from, to]) => {
      assert.ok(before.includes(from), `${configuration} has ${from}`);
      return before.replaceAll(from, to);
    }, text);
    return writeFile(file, upstream(replaced, ports));
  };
  await write(gateways);
  const programRoot = await obtain(programs[name]);
  const server = startServer(await binaryIn(programRoot, name), args(file, directory), environmentOf(programRoot));
  // A master that has not said so yet misses the signal to reload.
  await untilReady(server, async () => (await canConnect(port)) && server.output().includes(startedText));
  return {
    url: (path) => `ws://127.0.0.1:${port}${path}`,
    async reload(ports) {
      await write(ports);
      const countStarts = (): number => server.output().split(startedText).length;
      const before = countStarts();
      // A master that is still busy with its start loses the signal.
      await eventually(
        () => {
          if (server.pid !== undefined) process.kill(server.pid, reloadSignal);
          return eventually(() => startedText === '' || countStarts() > before, { timeoutMs: 3_000 });
        },
        { timeoutMs: 30_000 },
      );
    },
    stop: () => server.stop('SIGTERM'),
    async [Symbol.asyncDispose]() {
      await server.stop('SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
  };
}
