import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryDelayMs } from '../../../runtime/processor/backoff.ts';

const backoffMs = [1_000, 2_000, 5_000];
const nearlyOne = 1 - Number.EPSILON;

test('uses the entry of the attempt and then repeats the last one', () => {
  const delays = [1, 2, 3, 4, 100].map((attempt) => retryDelayMs(backoffMs, attempt, 0, 0.5));
  assert.deepEqual(delays, [1_000, 2_000, 5_000, 5_000, 5_000]);
});

test('varies the back-off by a fifth either way', () => {
  assert.equal(retryDelayMs(backoffMs, 3, 0, 0), 4_000);
  assert.equal(retryDelayMs(backoffMs, 3, 0, nearlyOne), 6_000);
});

test('never retries before Retry-After, and adds jitter after it', () => {
  assert.equal(retryDelayMs(backoffMs, 1, 10_000, 0), 10_000);
  assert.equal(retryDelayMs(backoffMs, 1, 10_000, nearlyOne), 12_000);
  assert.equal(retryDelayMs(backoffMs, 3, 4_500, 0), 4_500);
});

test('does not wait at all when the back-off is 0', () => {
  assert.equal(retryDelayMs([0], 1, 0, 0.9), 0);
});
