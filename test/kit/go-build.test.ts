import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { progressOf, runWhileBusy } from './go-build.ts';
import { buildLua, luaOrSkip } from './lua.ts';
import { run } from './program-sources.ts';

test('a command may take any time while it prints, and is ended when it does not', async () => {
  const lines: string[] = [];
  const busy = 'for i in 1 2 3 4 5 6 7; do sleep 0.5; echo line >&2; done; echo done';
  const options = { cwd: '/', stuckMs: 3000, onLine: (line: string): void => void lines.push(line) };
  assert.equal(await runWhileBusy('sh', ['-c', busy], options), 'done\n');
  assert.equal(lines.length, 7);
  const silent = runWhileBusy('sleep', ['600'], { cwd: '/', stuckMs: 200 });
  await assert.rejects(silent, /no progress for/);
});

test('a command that fails is named with what it printed', async () => {
  await assert.rejects(runWhileBusy('sh', ['-c', 'echo why >&2; exit 3'], { cwd: '/' }), /sh -c failed: why/);
});

test('the sources of a program of ours are built from nothing', { skip: await luaOrSkip() }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-go-'));
  try {
    const path = await buildLua(folder);
    await run(path, ['--version']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('progress says how much is done and about how long the rest takes', () => {
  assert.equal(progressOf(0, 2600, 30_000), '0 packages after 30 s');
  assert.equal(progressOf(650, 2600, 300_000), '650 of 2600 packages after 5 min, about 15 min left');
  assert.equal(progressOf(2600, 2600, 600_000), '2600 packages after 10 min, linking');
});
