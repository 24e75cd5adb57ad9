/** The files that git knows or would add, as paths from the root. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = new URL('../..', import.meta.url).pathname;
process.chdir(root);

/** TypeScript and JavaScript sources. */
export function sources(): string[] {
  return files().filter((path) => /\.(ts|js|mjs)$/.test(path));
}

/** Everything that is or would be committed. */
export function files(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed.split('\n').filter((path) => path !== '' && existsSync(join(root, path)));
}
