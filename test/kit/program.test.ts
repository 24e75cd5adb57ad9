import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';

import { cache, findInstalled, obtain, type Program, whyNot } from './program.ts';

const usable = async (): Promise<void> => {};

/** A program of a name of its own, which is nowhere unless a test says so. */
async function someProgram(parts: Partial<Program> = {}): Promise<AsyncDisposable & { readonly program: Program }> {
  const name = `program-test-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const check: Program['check'] = async (path) => {
    if (!existsSync(path)) throw new Error('no such file');
  };
  return {
    program: { name, wanted: name, check, places: [], installers: [], ...parts },
    [Symbol.asyncDispose]: async () => {
      for (const file of await readdir(cache).catch((): string[] => [])) {
        if (file.includes(name)) await rm(join(cache, file), { recursive: true });
      }
    },
  };
}

test('uses the first place that has a usable binary, and installs nothing', async () => {
  const check: Program['check'] = async (path) => (path === 'old' ? Promise.reject(new Error('too old')) : usable());
  const places: Program['places'] = [
    ['first', () => Promise.reject(new Error('not set'))],
    ['second', async () => 'old'],
    ['third', async () => 'good'],
  ];
  const installers: Program['installers'] = [['never', () => Promise.reject(new Error('called'))]];
  await using some = await someProgram({ check, places, installers });
  assert.equal(await obtain(some.program), 'good');
});

test('installs nothing while TEST_INSTALL is never, and says what does', async () => {
  const installers: Program['installers'] = [['build', () => Promise.reject(new Error('called'))]];
  await using some = await someProgram({ installers });
  process.env.TEST_INSTALL = 'never';
  try {
    await assert.rejects(obtain(some.program), /is installed, and TEST_INSTALL is never: npm test installs it/);
  } finally {
    delete process.env.TEST_INSTALL;
  }
});

test('findInstalled takes a program from a place or from the cache, and installs none', async () => {
  const installers: Program['installers'] = [['build', () => Promise.reject(new Error('called'))]];
  const places: Program['places'] = [['FOLDER', () => Promise.reject(new Error('not set'))]];
  await using some = await someProgram({ installers, places });
  const absent = { message: `no ${some.program.name}: FOLDER: not set; cache: no such file` };
  await assert.rejects(findInstalled(some.program), absent);
  await mkdir(cache, { recursive: true });
  await writeFile(join(cache, some.program.name), 'x');
  assert.equal(await findInstalled(some.program), join(cache, some.program.name));
});

test('installs a program once for everybody who waits for it', async () => {
  let calls = 0;
  await using some = await someProgram({
    installers: [
      ['broken', () => Promise.reject(new Error('no network'))],
      [
        'working',
        async (folder) => {
          calls += 1;
          await writeFile(join(folder, 'binary'), 'x');
          return join(folder, 'binary');
        },
      ],
    ],
  });
  const paths = await Promise.all([obtain(some.program), obtain(some.program), obtain(some.program)]);
  assert.deepEqual([...new Set(paths)], [join(cache, some.program.name)]);
  assert.equal(calls, 1);
  const left = (await readdir(cache)).filter((file) => file.includes(some.program.name));
  assert.deepEqual(left, [some.program.name]);
});

test('does not wait for the lock of a process that is gone', async () => {
  await using some = await someProgram({ installers: [['none', () => Promise.reject(new Error('no network'))]] });
  await mkdir(cache, { recursive: true });
  await writeFile(join(cache, `${some.program.name}.lock`), '999999999\n');
  await assert.rejects(obtain(some.program), /none: no network/);
});

test('does not wait for a lock that nobody touches, though some process has its id', async () => {
  await using some = await someProgram({ installers: [['none', () => Promise.reject(new Error('no network'))]] });
  await mkdir(cache, { recursive: true });
  const path = join(cache, `${some.program.name}.lock`);
  await writeFile(path, `${process.pid}\n`);
  const longAgo = new Date(Date.now() - 10 * 60_000);
  await utimes(path, longAgo, longAgo);
  await assert.rejects(obtain(some.program), /none: no network/);
});

test('names every attempt that failed', async () => {
  await using some = await someProgram({
    places: [['PATH', () => Promise.reject(new Error('not in it'))]],
    installers: [['release', () => Promise.reject(new Error('404'))]],
  });
  await assert.rejects(obtain(some.program), /no program-test.*: PATH: not in it; cache: no such file; release: 404/);
});

test('skips tests on a desk and never in CI', async () => {
  const before = process.env.CI;
  const find = (): Promise<never> => Promise.reject(new Error('nowhere'));
  try {
    delete process.env.CI;
    assert.equal(await whyNot('thing', 'get one', find), 'no thing; get one');
    process.env.CI = 'true';
    await assert.rejects(whyNot('thing', 'get one', find), /nowhere; get one/);
  } finally {
    if (before === undefined) delete process.env.CI;
    else process.env.CI = before;
  }
});

test('the preparation fails under CI, and only there, when a program cannot be had', () => {
  for (const [ci, status] of [
    ['', 0],
    ['true', 1],
  ] as const) {
    const env = { ...process.env, CI: ci, TEST_KUBERNETES: '0.1', TEST_INSTALL: 'never' };
    const run = spawnSync(process.execPath, [join(import.meta.dirname, 'prepare.ts')], { env, encoding: 'utf8' });
    assert.equal(run.status, status, run.stderr);
    assert.match(run.stderr, /there is no Kubernetes.*TEST_KUBERNETES is 0\.1; it can be/);
  }
});
