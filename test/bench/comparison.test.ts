/** The comparison measures who is there, names who is not, and fails when a system does not do the work. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { Comparison } from '../../bench/comparison.ts';
import type { System } from '../../bench/paths/path.ts';
import { floor } from '../../bench/paths/single-process.ts';
import { goalsOf } from '../../bench/results.ts';
import { measureClosedLoop } from '../../bench/scenarios/closed-loop.ts';
import type { Scenario } from '../../bench/scenarios/scenario.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, '../../bench/compare.ts');
const options = { rounds: 2, seconds: 0.5, against: undefined, products: undefined };

const absent: System = {
  name: 'absent',
  product: 'absent',
  version: () => Promise.reject(new Error('it is not installed')),
  start: () => assert.fail('it was started'),
};

/** A floor whose destination does not exist. */
const unable: System = {
  ...floor(),
  name: 'unable',
  start: ({ slow }) => floor().start({ destination: `${slow}/nowhere`, slow }),
};

test('who is absent and who fails is listed with the reason, and the others are measured', async () => {
  await using comparison = await Comparison.start(options);
  const scenario: Scenario = {
    name: 'echo',
    title: 'echo',
    unit: 'answers',
    systems: [floor(), absent, unable],
    goals: [
      { text: 'of the floor', value: (of) => of('floor').rate, atLeast: 1 },
      { text: 'of who is absent', value: (of) => of('absent').rate, atLeast: 1 },
    ],
    measure: (round) => measureClosedLoop(round, { connections: 4, bytes: 64, isOrdered: true }),
  };
  const result = await comparison.measure(scenario);
  assert.deepEqual(
    result.systems.map(({ system, rounds }) => [system, rounds.length]),
    [['floor', 2]],
  );
  assert.deepEqual(
    result.notRun.map(({ system, isFailure }) => [system, isFailure]),
    [
      ['absent', false],
      ['unable', true],
    ],
  );
  assert.equal(result.notRun[0]?.reason, 'it is not installed');
  assert.deepEqual(
    goalsOf(result).map(({ isMet }) => isMet),
    [true, undefined],
  );
  const [round] = result.systems[0]?.rounds ?? [];
  assert.ok(round !== undefined && round.rate > 0 && (round.p99Ms ?? 0) >= (round.p50Ms ?? 0));
  assert.deepEqual(Object.keys(round.residentBytes), ['floor']);
});

test('a scenario that wants new processes gets them in each round', async () => {
  let starts = 0;
  const counted: System = {
    ...floor(),
    start: (urls) => {
      starts += 1;
      return floor().start(urls);
    },
  };
  await using comparison = await Comparison.start(options);
  const work: Scenario = {
    name: 'echo',
    title: 'echo',
    unit: 'answers',
    systems: [counted, absent],
    isFreshEachRound: true,
    measure: (round) => measureClosedLoop(round, { connections: 4, bytes: 64 }),
  };
  const { systems, notRun } = await comparison.measure(work);
  assert.equal(starts, 2);
  assert.deepEqual(
    systems.map(({ rounds }) => rounds.length),
    [2],
  );
  assert.equal(notRun.length, 1);
});

test('the command writes every round to JSON and fills its place in a document', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  try {
    const [json, markdown] = [join(folder, 'all.json'), join(folder, 'page.md')];
    await writeFile(markdown, 'before\n<!-- bench:echo-10 -->\nold\n<!-- /bench -->\nafter\n');
    const args = ['--only', 'echo-10', '--systems', 'floor', '--rounds', '1', '--seconds', '0.5'];
    await run(process.execPath, [script, ...args, '--json', json, '--markdown', markdown]);
    const { scenarios } = JSON.parse(await readFile(json, 'utf8'));
    assert.equal(scenarios[0].systems[0].system, 'floor');
    assert.match(scenarios[0].systems[0].version, /ws \d/);
    const page = await readFile(markdown, 'utf8');
    assert.match(page, /^before\n<!-- bench:echo-10 -->\n.*\| floor \|.*\n<!-- \/bench -->\nafter\n$/s);
    assert.doesNotMatch(page, /\bold\b/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a name that no scenario or system has is refused', async () => {
  for (const [option, name] of [
    ['--only', 'eco'],
    ['--systems', 'centrifuge'],
  ] as const) {
    await assert.rejects(
      run(process.execPath, [script, option, name]),
      (err: { code: number; stderr: string }) => err.code === 2 && err.stderr.includes(`${option} ${name}`),
    );
  }
});
