/**
 * Finds Pushpin on the PATH, or unpacks the distribution's packages into the project's cache: Pushpin, the programs that it
 * runs, and their libraries.
 */

import { dirname, join } from 'node:path';
import { obtain, type Program } from '../../test/kit/program.ts';
import { placeInPath, run, unpackPackages } from '../../test/kit/program-sources.ts';

export interface PushpinPrograms {
  /** Environment in which its programs and libraries are found. */
  readonly env: Record<string, string>;
  readonly pushpin: string;
  /** Folder of its own files, such as templates of configuration. */
  readonly libraryFolder: string;
}

/** Of Debian 12: Pushpin, the programs that it runs, and what a machine without Qt and ZeroMQ lacks. */
const packages = [
  ...['pushpin', 'condure', 'zurl'],
  ...['libzmq5', 'libnorm1', 'libpgm-5.3-0'],
  ...['libqt5core5a', 'libqt5network5', 'libqt5dbus5', 'libdouble-conversion3', 'libpcre2-16-0'],
];

/** The folder above `bin`: `/usr`, or the folder of the cache. */
const program: Program = {
  name: 'pushpin-root',
  wanted: 'Pushpin (PATH, or a distribution whose packages apt-get can download)',
  check: async (root) => void (await pushpinVersion(programsIn(root))),
  places: [['PATH', async () => dirname(dirname(await placeInPath('pushpin')[1]()))]],
  installers: [['apt packages', unpack]],
};

/** @throws Error that says what was tried and why it failed */
export async function findPushpin(): Promise<PushpinPrograms> {
  return programsIn(await obtain(program));
}

/** Such as `pushpin 1.36.0`. */
export async function pushpinVersion({ pushpin, env }: PushpinPrograms): Promise<string> {
  const { stdout } = await run(pushpin, ['--version'], { env: { ...process.env, ...env } });
  return stdout.trim();
}

function programsIn(root: string): PushpinPrograms {
  const folders = ['usr/bin', 'bin'].map((folder) => join(root, folder));
  const libraries = ['x86_64', 'aarch64'].map((cpu) => join(root, `usr/lib/${cpu}-linux-gnu`));
  const isUnpacked = root.endsWith(program.name);
  return {
    env: {
      PATH: [...folders, process.env.PATH].join(':'),
      ...(isUnpacked && { LD_LIBRARY_PATH: libraries.join(':') }),
    },
    pushpin: join(root, isUnpacked ? 'usr/bin/pushpin' : 'bin/pushpin'),
    libraryFolder: join(root, isUnpacked ? 'usr/lib/pushpin' : 'lib/pushpin'),
  };
}

async function unpack(folder: string): Promise<string> {
  const root = join(folder, program.name);
  await unpackPackages(packages, folder, root);
  return root;
}
