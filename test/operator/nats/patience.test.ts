/** Work that nobody waits for longer than a moment. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { createPatience } from '../../../operator/nats/patience.ts';

const nothing = (): void => undefined;

test('work that is done in time is waited for, and nobody is told of it later', async () => {
  const patience = createPatience(1000);
  let isDone = false;
  let late = 0;
  await patience.spend(
    'a',
    async () => {
      await delay(10);
      isDone = true;
    },
    () => late++,
  );
  assert.ok(isDone && !patience.isBusy('a'));
  assert.equal(late, 0);
});

test('work that takes longer goes on, and whoever asked is told when it is done', async () => {
  const patience = createPatience(20);
  const end = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  await patience.spend('a', () => end.promise, told.resolve);
  assert.ok(patience.isBusy('a'));
  end.resolve();
  await told.promise;
  assert.ok(!patience.isBusy('a'));
});

test('work of one name is done one after the other, and is not begun while the earlier one takes its time', async () => {
  const patience = createPatience(50);
  const order: string[] = [];
  const slow = async (): Promise<void> => {
    order.push('first begins');
    await delay(20);
    order.push('first ends');
  };
  const next = async (): Promise<void> => void order.push('second');
  await Promise.all([patience.spend('a', slow, nothing), patience.spend('a', next, nothing)]);
  assert.deepEqual(order, ['first begins', 'first ends', 'second']);

  const end = Promise.withResolvers<void>();
  await patience.spend('a', () => end.promise, nothing);
  await patience.spend('a', next, nothing);
  assert.equal(order.length, 3);
  await patience.spend('b', next, nothing);
  assert.equal(order.length, 4);
  end.resolve();
});
