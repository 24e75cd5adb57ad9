/** Checkouts as they ship: built and laid out as in their image, so that nothing is compiled when a process starts. */

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { build } from 'esbuild';

export interface Shipped {
  /** The file that Node runs. */
  readonly command: string;
  /** The flags of Node in the image's entry point, which gateways and processors have. */
  readonly flags: readonly string[];
}

const known = new Map<string, Promise<Shipped>>();

/** Builds a checkout, once in the life of this process, which removes the result when it ends. */
export function shipped(checkout: string): Promise<Shipped> {
  const folder = resolve(checkout);
  const found = known.get(folder) ?? ship(folder);
  known.set(folder, found);
  return found;
}

async function ship(checkout: string): Promise<Shipped> {
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-bench-image-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const compiler = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'build')];
  execFileSync(process.execPath, compiler, { cwd: checkout, stdio: 'inherit' });
  await mkdir(join(folder, 'cli'));
  for (const path of ['package.json', 'cli/hydrogen.js']) await cp(join(checkout, path), join(folder, path));
  const recipe = await readFile(join(checkout, 'Dockerfile'), 'utf8');
  await layPackages(join(checkout, 'node_modules'), join(folder, 'node_modules'), recipe);
  return { command: join(folder, 'cli/hydrogen.js'), flags: flagsIn(recipe) };
}

/**
 * A script of the benchmark as one file of JavaScript, so that it has no compiler in memory either. Removed when this process
 * ends. @returns its path
 */
export async function bundled(script: string): Promise<string> {
  // Below the checkout, where its packages are found.
  const folder = join(import.meta.dirname, '../.cache/bench');
  await mkdir(folder, { recursive: true });
  const outfile = join(folder, `${process.pid}-${basename(script, '.ts')}.mjs`);
  process.once('exit', () => rmSync(outfile, { force: true }));
  await build({ entryPoints: [script], outfile, bundle: true, packages: 'external', platform: 'node', format: 'esm' });
  return outfile;
}

/** What stands between `node` and the file in the entry point. */
function flagsIn(recipe: string): string[] {
  const entry = /^ENTRYPOINT (\[.*\])$/m.exec(recipe)?.[1];
  return entry === undefined ? [] : (JSON.parse(entry) as string[]).slice(1, -1);
}

/** Packages whose code contains source maps, which the image leaves out. */
const mapped: readonly string[] = ['cdk8s', 'cdk8s-plus-28', 'constructs'];
const inlineMap = /^\/\/# sourceMappingURL=data:.*$/gm;

/** Packages as installed, without what the recipe of the image removes and a process would keep in memory. */
async function layPackages(from: string, to: string, recipe: string): Promise<void> {
  await mkdir(to);
  const changed = recipe.includes('sourceMappingURL') ? mapped : [];
  for (const name of await readdir(from)) {
    if (!changed.includes(name)) await symlink(join(from, name), join(to, name));
  }
  for (const name of changed) {
    const filter = (path: string): boolean => !/\.(d\.ts|map|jsii|tgz)$/.test(path);
    await cp(join(from, name), join(to, name), { recursive: true, filter });
    for (const path of await readdir(join(to, name), { recursive: true })) {
      if (!path.endsWith('.js')) continue;
      const file = join(to, name, path);
      await writeFile(file, (await readFile(file, 'utf8')).replace(inlineMap, ''));
    }
  }
}
