import assert from 'node:assert/strict';
import test from 'node:test';

import { type Outcome, Queue, soonest } from '../../operator/queue.ts';
import { eventually, holds } from '../kit/eventually.ts';

function start(work: (key: string) => Promise<Outcome>, workers = 4): { queue: Queue; delays: number[] } {
  const delays: number[] = [];
  const onFailure = (_: string, __: unknown, delayMs: number): void => void delays.push(delayMs);
  const queue = new Queue({ work, onFailure, workers, baseDelayMs: 5, maxDelayMs: 20 });
  queue.start();
  return { queue, delays };
}

test('a key that is added while it is running runs once more, and never on two workers', async () => {
  const release = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  let runs = 0;
  const { queue } = start(async () => {
    runs += 1;
    running += 1;
    most = Math.max(most, running);
    await release.promise;
    running -= 1;
    return undefined;
  });
  for (let i = 0; i < 5; i++) queue.add('a');
  assert.equal(runs, 1);
  release.resolve();
  await eventually(() => runs === 2);
  await holds(() => runs === 2, 50);
  assert.equal(most, 1);
  await queue.stop();
});

test('no more keys run at once than there are workers', async () => {
  const release = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  let done = 0;
  const { queue } = start(async () => {
    running += 1;
    most = Math.max(most, running);
    await release.promise;
    running -= 1;
    done += 1;
    return undefined;
  }, 2);
  for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key);
  assert.equal(queue.depth, 3);
  release.resolve();
  await eventually(() => done === 5);
  assert.equal(most, 2);
  await queue.stop();
});

test('the delay after failures grows up to a limit, and success resets it', async () => {
  let failuresLeft = 6;
  const { queue, delays } = start(async () => {
    if (failuresLeft-- > 0) throw new Error('no');
    return undefined;
  });
  queue.add('a');
  await eventually(() => delays.length === 6 && failuresLeft === -1);
  assert.ok((delays[1] ?? 0) > (delays[0] ?? 0), `${delays}`);
  assert.ok(
    delays.every((delay) => delay <= 22),
    `${delays}`,
  );
  failuresLeft = 1;
  queue.add('a');
  await eventually(() => delays.length === 7);
  assert.ok((delays[6] ?? 99) < 6, `${delays}`);
  await queue.stop();
});

test('waits as long as the server asks for', async () => {
  let runs = 0;
  const { queue, delays } = start(async () => {
    runs += 1;
    if (runs === 1) throw Object.assign(new Error('too many requests'), { retryAfterMs: 60 });
    return undefined;
  });
  queue.add('a');
  await eventually(() => runs === 2);
  assert.deepEqual(delays, [60]);
  await queue.stop();
});

test('a server that keeps saying when to retry is retried soon enough, however often it has said so', async () => {
  const delays: number[] = [];
  const queue = new Queue({
    work: () => Promise.reject(Object.assign(new Error('too many requests'), { retryAfterMs: 1 })),
    onFailure: (_, __, delayMs) => {
      delays.push(delayMs);
      if (delays.length < 12) queue.add('a');
    },
    baseDelayMs: 1000,
  });
  queue.start();
  queue.add('a');
  await eventually(() => delays.length === 12);
  await queue.stop();
  // The delay doubles from one second on, up to the limit for servers that say when to retry.
  assert.ok(delays.slice(0, 3).every((delayMs, index) => delayMs >= 900 * 2 ** index));
  assert.ok(Math.max(...delays) <= 10_000);
});

test('of two delayed times for a key, the earlier one counts', async () => {
  const runs: number[] = [];
  const { queue } = start(async () => {
    runs.push(performance.now());
    return undefined;
  });
  const startMs = performance.now();
  queue.add('a', 30);
  queue.add('a', 5000);
  await eventually(() => runs.length === 1);
  assert.ok((runs[0] ?? 0) - startMs < 2000);
  await queue.stop();
});

test('stop waits for work that has begun and starts no more', async () => {
  const release = Promise.withResolvers<void>();
  let begun = 0;
  let done = 0;
  const { queue } = start(async () => {
    begun += 1;
    await release.promise;
    done += 1;
    return { againAfterMs: 1 };
  }, 1);
  queue.add('a');
  queue.add('b');
  const stopped = queue.stop();
  release.resolve();
  await stopped;
  assert.equal(done, 1);
  await holds(() => begun === 1, 30);
});

test('a key whose work is futile comes back after a growing delay, without counting as a failure', async () => {
  const times: number[] = [];
  const { queue, delays } = start(async () => {
    times.push(performance.now());
    return times.length <= 4 ? { isFutile: true } : undefined;
  });
  queue.add('a');
  await eventually(() => times.length === 5);
  await holds(() => times.length === 5, 60);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  assert.ok((gaps[0] ?? 0) >= 3 && (gaps[3] ?? 0) > 2 * (gaps[0] ?? 0), gaps.join());
  assert.deepEqual(delays, []);
  await queue.stop();
});

test('the soonest of several outcomes counts, and futility is not forgotten', () => {
  assert.equal(soonest(undefined, undefined), undefined);
  assert.deepEqual(soonest({ againAfterMs: 5 }, { againAfterMs: 3 }), { againAfterMs: 3 });
  assert.deepEqual(soonest({ isFutile: true }, { againAfterMs: 3 }), { againAfterMs: 3, isFutile: true });
});

test('slow work frees its worker for other keys, but its key still never runs on two workers', async () => {
  const release = Promise.withResolvers<void>();
  const runs: string[] = [];
  const queue = new Queue({
    work: async (key) => {
      runs.push(key);
      if (key.startsWith('silent')) await release.promise;
      return undefined;
    },
    onFailure: assert.fail,
    workers: 1,
    slowMs: 10,
  });
  queue.start();
  for (const key of ['silent1', 'silent2', 'prompt', 'silent1']) queue.add(key);
  await eventually(() => runs.includes('prompt'));
  assert.deepEqual(runs, ['silent1', 'silent2', 'prompt']);
  release.resolve();
  await eventually(() => runs.length === 4);
  assert.equal(runs[3], 'silent1');
  await queue.stop();
});

test('timers and sockets have their turn while many keys are worked on that need not wait', async () => {
  let worked = 0;
  const { queue } = start(async () => {
    const untilMs = performance.now() + 2;
    while (performance.now() < untilMs);
    worked += 1;
    return undefined;
  });
  let workedAtTimer = 0;
  setTimeout(() => {
    workedAtTimer = worked;
  }, 10);
  for (let index = 0; index < 200; index++) queue.add(`${index}`);
  await eventually(() => worked === 200);
  assert.ok(workedAtTimer > 0 && workedAtTimer < 100, `${workedAtTimer} of 200 keys were worked on in 10 ms`);
  await queue.stop();
});
