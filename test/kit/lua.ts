/** Health checks of Argo CD, run in gopher-lua, the interpreter that Argo CD has: built from lua/main.go into the cache. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import './orphans.ts';
import { go } from './go-build.ts';
import { obtain, type Program, whyNot } from './program.ts';
import { run } from './program-sources.ts';

/** The result of a health check. */
export interface Health {
  readonly status: string;
  readonly message: string;
}

const sources = join(import.meta.dirname, 'lua');
const digest = createHash('sha256');
for (const name of ['main.go', 'go.mod', 'go.sum']) digest.update(readFileSync(join(sources, name)));

const program: Program = {
  // A binary of other sources is another program.
  name: `lua-${digest.digest('hex').slice(0, 12)}`,
  wanted: 'gopher-lua',
  check: async (path) => void (await run(path, ['--version'])),
  places: [],
  installers: [['go build', buildLua]],
};

/** Builds the interpreter from its sources in `test/kit/lua`. @returns its path in `folder` */
export async function buildLua(folder: string): Promise<string> {
  const path = join(folder, 'lua');
  await go(sources, 'go build of test/kit/lua (a few seconds, once)', 'build', '-trimpath', '-o', path, '.');
  return path;
}

/** Path of the interpreter. @throws Error that says what was tried and why it failed */
export function findLua(): Promise<string> {
  return obtain(program);
}

/** Why health checks cannot be run here, or false. Use it as `test(..., { skip: await luaOrSkip() }, ...)`. */
export function luaOrSkip(): Promise<string | false> {
  return whyNot('gopher-lua', 'install Go >= 1.23', findLua);
}

/** The health of each object. @throws with the error of Lua when the script fails */
export async function checkHealth(script: string, objects: readonly unknown[]): Promise<Health[]> {
  const child = spawn(await findLua(), { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(JSON.stringify({ script, objects }));
  const [output, problem] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (problem !== '') throw new Error(problem);
  return JSON.parse(output) as Health[];
}
