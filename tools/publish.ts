/**
 * Publishes the packages that `npm run packages` wrote: `node tools/publish.ts build/packages --provenance`, with flags of
 * `npm publish`. A package that npm has in this version is left out, so that a run that failed halfway can be repeated.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** @throws Error when npm refuses one of them; those before it stay published */
export function publishPackages(folder: string, flags: readonly string[]): void {
  for (const name of readdirSync(folder).toSorted()) publishPackage(join(folder, name), flags);
}

function publishPackage(folder: string, flags: readonly string[]): void {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>;
  const id = `${name}@${version}`;
  // Empty, or a failure, for what is not there; if the registry cannot be reached, publishing says so.
  if (spawnSync('npm', ['view', id, 'version'], { encoding: 'utf8' }).stdout.trim() === version) {
    process.stdout.write(`${id} is published already\n`);
    return;
  }
  // Without a tag of its own a pre-release would become what `npm install` takes, and npm refuses that.
  const tag = version?.includes('-') ? ['--tag', 'next'] : [];
  execFileSync('npm', ['publish', ...flags, ...tag, folder], { stdio: 'inherit' });
}

if (import.meta.main) {
  const [folder = '', ...flags] = process.argv.slice(2);
  try {
    publishPackages(folder, flags);
  } catch (error) {
    console.error(`publish: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
