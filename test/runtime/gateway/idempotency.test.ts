/** Messages to users and channels that are sent again under their key. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DoneRequests } from '../../../runtime/gateway/done-requests.ts';
import { eventually } from '../../kit/eventually.ts';
import type { TestGateway } from '../../kit/gateway.ts';
import { ask, type MakeGroup, onBothBuses, startGroup } from './group.ts';

function suite(makeGroup: MakeGroup): void {
  test('a message that is repeated through another gateway is not sent twice, and is answered like the first', async () => {
    await using group = await startGroup(makeGroup);
    const [one, two] = group.gateways as [TestGateway, TestGateway];
    const clients = [await group.connect(0, 'user=a'), await group.connect(1, 'user=a')];
    const key = { 'idempotency-key': 'order-17' };
    const first = await ask(one, 'POST', '/users/a/_send', 'paid', key);
    assert.deepEqual(first, { status: 200, body: { connections: 2, sent: 2, full: 0, unanswered: 0 } });
    assert.deepEqual(await ask(two, 'POST', '/users/a/_send', 'paid', key), first);
    assert.equal((await ask(two, 'POST', '/users/a/_send?wait=false', 'paid', key)).status, 202);
    // Another recipient, another key and no key are other messages.
    assert.equal((await ask(two, 'POST', '/channels/a/_send', 'paid', key)).body.sent, 0);
    assert.equal((await ask(two, 'POST', '/users/a/_send', 'sent', { 'idempotency-key': 'order-18' })).body.sent, 2);
    assert.equal((await ask(two, 'POST', '/users/a/_send', 'end')).body.sent, 2);
    for (const client of clients) {
      await eventually(() => client.texts.includes('end'));
      assert.deepEqual(client.texts, ['paid', 'sent', 'end']);
    }
  });

  test('of many requests at once under one key, one is sent', async () => {
    await using group = await startGroup(makeGroup);
    const client = await group.connect(1, 'channels=c');
    const key = { 'idempotency-key': 'k' };
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => {
        return ask(group.gateways[i % 2] ?? assert.fail(), 'POST', '/channels/c/_send', 'once', key);
      }),
    );
    for (const { body } of answers) assert.equal(body.sent, 1);
    await ask(group.gateways[0] ?? assert.fail(), 'POST', '/channels/c/_send', 'end');
    await eventually(() => client.texts.includes('end'));
    assert.deepEqual(client.texts, ['once', 'end']);
  });

  test('a key that is none is refused', async () => {
    await using group = await startGroup(makeGroup, 1);
    const [gateway = assert.fail()] = group.gateways;
    for (const key of ['', 'x'.repeat(129), 'a b', 'ü']) {
      const { status, body } = await ask(gateway, 'POST', '/users/a/_send', 'hi', { 'idempotency-key': key });
      assert.deepEqual([status, body.code], [400, 'HYD_BAD_REQUEST'], key);
      assert.match(String(body.message), /idempotency-key must be 1 to 128 visible characters/);
    }
  });
}

await onBothBuses('idempotency keys', suite);

test('what was done is remembered for its window, and no more of it than the limit', () => {
  let nowMs = 0;
  let count = 0;
  const done = new DoneRequests<number>({ windowMs: 1_000, max: 3, now: () => nowMs });
  const once = (...key: string[]): number => done.once(key, () => ++count);
  assert.deepEqual([once('a'), once('b'), once('a'), once('a', 'b'), once('ab')], [1, 2, 1, 3, 4]);
  assert.equal(done.size, 3);
  // The oldest gave way to the fourth.
  assert.equal(once('ab'), 4);
  nowMs = 999;
  assert.equal(once('ab'), 4);
  nowMs = 1_000;
  assert.equal(once('ab'), 5);
  assert.equal(done.size, 1);
});
