import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { eventually } from './eventually.ts';

const preload = new URL('time-limit.ts', import.meta.url).href;
const limits = { TEST_FILE_LIMIT_MS: '4000', TEST_EXIT_LIMIT_MS: '500' };

/** Lines of a fixture that start a child which runs until somebody ends it, and print its process id. */
const child = `
  import { spawn } from 'node:child_process';
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  console.error('child ' + child.pid);
`;

interface Run {
  readonly exitCode: number;
  readonly output: string;
}

/** Runs a test file of this text, as `npm test` runs ours. */
async function runFile(name: string, text: string): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-time-limit-'));
  const file = join(folder, name);
  await writeFile(file, `import test, { after } from 'node:test';\n${text}`);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env; // with it, `node --test` would run nothing
  const args = ['--import', preload, '--test', file];
  try {
    return await new Promise((resolve) => {
      execFile(process.execPath, args, { env: { ...env, ...limits } }, (error, stdout, stderr) => {
        resolve({ exitCode: Number(error?.code ?? 0), output: stdout + stderr });
      });
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Resolves when the child that the fixture printed is gone. */
async function childGone({ output }: Run): Promise<void> {
  const pid = Number(/child (\d+)/.exec(output)?.[1]);
  await eventually(() => assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }));
}

test('a file that passes is left alone', async () => {
  const { exitCode, output } = await runFile('good.test.mjs', "test('passes', () => {});");
  assert.equal(exitCode, 0, output);
  assert.doesNotMatch(output, /test kit/);
});

test('a file whose test never settles is ended at its limit and named, with its children', async () => {
  const run = await runFile('never.test.mjs', `${child} test('never', () => new Promise(() => {}));`);
  assert.equal(run.exitCode, 1);
  assert.match(run.output, /test kit: .*never\.test\.mjs takes longer than 4 s and is ended/);
  await childGone(run);
});

test('a file that is stuck in a computation is ended too, with its children', async () => {
  const loop = "test('stuck', async () => { await new Promise((done) => setTimeout(done, 1500)); for (;;); });";
  const run = await runFile('stuck.test.mjs', `${child} ${loop}`);
  assert.equal(run.exitCode, 1);
  assert.match(run.output, /test kit: .*stuck\.test\.mjs takes longer than 4 s/);
  await childGone(run);
});

test('a file that leaves something open after its last test fails, and says what', async () => {
  const run = await runFile('open.test.mjs', `${child} test('passes', () => {});`);
  assert.equal(run.exitCode, 1);
  assert.match(run.output, /test kit: .*open\.test\.mjs does not end 0\.5 s after its last test.*ProcessWrap/);
  await childGone(run);
});

test('a file whose set-up fails ends at once with its children, whether hooks were registered or not', async () => {
  for (const hooks of ['', 'after(() => {});']) {
    const set = "await Promise.reject(new Error('no set-up')); test('never runs', () => {});";
    const run = await runFile('set-up.test.mjs', `${child} ${hooks} ${set}`);
    assert.equal(run.exitCode, 1);
    assert.match(run.output, /test kit: .*set-up\.test\.mjs failed before its first test: Error: no set-up/);
    await childGone(run);
  }
});
