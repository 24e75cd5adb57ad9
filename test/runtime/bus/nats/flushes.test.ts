import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flushes } from '../../../../runtime/bus/nats/flushes.ts';

test('shares the next round trip among all who ask during one, and begins it after the one under way', async () => {
  const ends: ((isConfirmed: boolean) => void)[] = [];
  const flushes = new Flushes(() => new Promise((resolve) => ends.push(resolve)));
  const first = flushes.join();
  const later = Array.from({ length: 100 }, () => flushes.join());
  assert.equal(ends.length, 1);
  ends[0]?.(false);
  assert.equal(await first, false);
  assert.equal(ends.length, 2);
  const last = flushes.join();
  ends[1]?.(true);
  assert.deepEqual(new Set(await Promise.all(later)), new Set([true]));
  assert.equal(ends.length, 3);
  ends[2]?.(true);
  assert.equal(await last, true);
  void flushes.join();
  assert.equal(ends.length, 4);
});
