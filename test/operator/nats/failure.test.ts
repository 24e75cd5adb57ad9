/** Connection attempts that fail again and again. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { ConnectFailure } from '../../../operator/nats/failure.ts';

test('the same failure at one address after another is reported once, and changes nothing', () => {
  const told: string[] = [];
  let others = 0;
  const failure = new ConnectFailure(['nats://a', 'nats://b'], {
    onNews: (detail) => void told.push(detail),
    onChange: () => void others++,
  });
  assert.equal(failure.last, undefined);
  for (const address of ['nats://a', 'nats://b', 'nats://a']) failure.add(address, new Error('refused'));
  assert.deepEqual(told, ['nats://a: refused']);
  assert.equal(failure.last, 'nats://a, nats://b: refused');
  assert.equal(others, 1);

  failure.add('nats://b', new Error('authorization violation'));
  assert.deepEqual([told.length, others], [2, 2]);
  assert.equal(failure.last, 'nats://a, nats://b: refused; authorization violation');
  // Each address fails in its own way, over and over.
  for (let attempt = 0; attempt < 10; attempt++) {
    failure.add('nats://a', new Error('refused'));
    failure.add('nats://b', new Error('authorization violation'));
  }
  assert.deepEqual([told.length, others], [2, 2]);
  failure.clear();
  assert.equal(failure.last, undefined);
  failure.add('nats://b', new Error('authorization violation'));
  assert.deepEqual([told.length, others], [3, 3]);
});
