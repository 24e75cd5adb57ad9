/** The real nginx and HAProxy, with the configurations that the docs recommend and the ports of a test. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from './hydrogen.ts';
import { freePortBase } from './ports.ts';
import { obtain, type Program } from './program.ts';
import { placeInPath, run, unpackPackages } from './program-sources.ts';
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

const libraries = ['x86_64', 'aarch64'].map((cpu) => `usr/lib/${cpu}-linux-gnu`);

/** The distribution's packages with a program and with those of its libraries that few machines have. */
function packagedProgram(name: ProxyProgram, packages: readonly string[]): Program {
  const rootName = `${name}-root`;
  return {
    name: rootName,
    wanted: `${name} (PATH, or a distribution whose packages apt-get can download)`,
    check: async (root) => void (await run(binaryIn(root, name), ['-v'], { env: environmentOf(root) })),
    // The folder above `sbin`: `/usr`, or the folder of the cache.
    places: [['PATH', async () => dirname(dirname(await placeInPath(name)[1]()))]],
    installers: [
      [
        'apt packages',
        async (folder) => {
          const root = join(folder, rootName);
          await unpackPackages(packages, folder, root);
          return root;
        },
      ],
    ],
  };
}

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

function isUnpacked(root: string): boolean {
  return root.endsWith('-root');
}

function binaryIn(root: string, name: ProxyProgram): string {
  return join(root, isUnpacked(root) ? 'usr/sbin' : 'sbin', name);
}

function environmentOf(root: string): NodeJS.ProcessEnv {
  if (!isUnpacked(root)) return process.env;
  return { ...process.env, LD_LIBRARY_PATH: libraries.map((folder) => join(root, folder)).join(':') };
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
  const server = startServer(binaryIn(programRoot, name), args(file, directory), environmentOf(programRoot));
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
