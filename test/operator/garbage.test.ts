import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { GarbageCollection } from '../../operator/garbage.ts';
import { eventually, holds } from '../kit/eventually.ts';

const quietMs = 200;

function start() {
  let collections = 0;
  const collect = (): void => {
    collections += 1;
  };
  const garbage = new GarbageCollection({ collect, quietMs });
  const work = (objects: number): void => {
    for (let index = 0; index < objects; index += 1) garbage.noteWork();
  };
  return { garbage, work, collections: () => collections };
}

test('garbage is collected once after a burst, and not while it goes on', async () => {
  const { work, collections } = start();
  for (let part = 0; part < 20; part += 1) {
    work(100);
    assert.equal(collections(), 0);
    await delay(quietMs / 10);
  }
  await eventually(() => collections() === 1);
  await holds(() => collections() === 1, quietMs * 3);
});

test('a few objects are not a burst', async () => {
  const { work, collections } = start();
  for (let part = 0; part < 3; part += 1) {
    work(200);
    await delay(quietMs * 2);
  }
  assert.equal(collections(), 0);
});

test('nothing is collected after stop', async () => {
  const { garbage, work, collections } = start();
  work(1000);
  garbage.stop();
  await holds(() => collections() === 0, quietMs * 3);
});
