/** Servers that come from the distribution's packages, with those of their libraries that few machines have. */

import { dirname, join } from 'node:path';
import type { Program } from './program.ts';
import { findIn, placeInPath, run, unpackPackages } from './program-sources.ts';

const libraries = ['x86_64', 'aarch64'].map((cpu) => `usr/lib/${cpu}-linux-gnu`);
const folders = ['usr/sbin', 'usr/bin', 'sbin', 'bin'];

/** The program `name` of PATH or of `packages`. Its path is that of the folder above `bin` or `sbin`: see `binaryIn`. */
export function packagedProgram(name: string, packages: readonly string[]): Program {
  const rootName = `${name}-root`;
  return {
    name: rootName,
    wanted: `${name} (PATH, or a distribution whose packages apt-get can download)`,
    check: async (root) => void (await run(await binaryIn(root, name), ['-v'], { env: environmentOf(root) })),
    // `/usr`, or the folder of the cache.
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

/** Path of the program `name` in the folder that `obtain` found. */
export function binaryIn(root: string, name: string): Promise<string> {
  return findIn(
    folders.map((folder) => join(root, folder)),
    name,
  );
}

/** The environment in which it finds its libraries. */
export function environmentOf(root: string): NodeJS.ProcessEnv {
  if (!root.endsWith('-root')) return process.env;
  return { ...process.env, LD_LIBRARY_PATH: libraries.map((folder) => join(root, folder)).join(':') };
}
