import assert from 'node:assert/strict';
import test from 'node:test';
import { Deadline, sleep, within } from '../../process/timing.ts';

test('within gives what work resolves with, and undefined when that takes too long', async () => {
  assert.equal(await within(60_000, Promise.resolve('done')), 'done');
  assert.equal(await within(5, new Promise<string>(() => {})), undefined);
});

test('within rejects as work does', async () => {
  await assert.rejects(within(60_000, Promise.reject(new Error('broken'))), /broken/);
});

test('sleep ends early when its signal aborts', async () => {
  const stopping = new AbortController();
  const slept = sleep(60_000, stopping.signal);
  stopping.abort();
  await slept;
  await sleep(60_000, stopping.signal);
});

test('a deadline gives each of several phases no more than what is left', () => {
  const deadline = new Deadline(60_000);
  assert.equal(deadline.remainingMs(1_000), 1_000);
  assert.ok(deadline.remainingMs() > 59_000);
  assert.equal(new Deadline(0).remainingMs(1_000), 0);
});
