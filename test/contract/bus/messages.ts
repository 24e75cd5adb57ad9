/** The bus contract: client messages, from `publish` to the end of their deliveries. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, holds } from '../../kit/eventually.ts';
import { Account, ack, collect, type MakeBusEnvironment, message, startBus, text } from './kit.ts';

export function busMessages(makeEnvironment: MakeBusEnvironment): void {
  delivery(makeEnvironment);
  storage(makeEnvironment);
  redelivery(makeEnvironment);
  consumption(makeEnvironment);
}

function delivery(makeEnvironment: MakeBusEnvironment): void {
  test('delivers a message as it was published', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, {}, ack);
    const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
    const sent = message({ payload, endpoint: '/räume/a.b c', callbackUrl: 'http://[::1]:8081/x?y=z' });
    const beforeMs = Date.now();
    await bus.messages.publish(sent);
    const delivery = await eventually(() => got.deliveries[0] ?? false);
    const { id, connectionId, endpoint, callbackUrl, attempt, isReplay, storedAtMs } = delivery;
    assert.deepEqual(
      { id, connectionId, endpoint, callbackUrl, attempt, isReplay },
      {
        id: sent.id,
        connectionId: 'gw-1-abc',
        endpoint: '/räume/a.b c',
        callbackUrl: sent.callbackUrl,
        attempt: 1,
        isReplay: false,
      },
    );
    assert.deepEqual(Uint8Array.from(delivery.payload), payload);
    assert.ok(Math.abs(storedAtMs - beforeMs) < 5000);
  });

  test('delivers an empty payload and an empty callback', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, {}, ack);
    await bus.messages.publish(message({ payload: new Uint8Array(0), callbackUrl: '' }));
    const delivery = await eventually(() => got.deliveries[0] ?? false);
    assert.equal(delivery.payload.byteLength, 0);
    assert.equal(delivery.callbackUrl, '');
  });

  test('shares messages among the replicas of a processor, and gives every processor all of them', async () => {
    await using environment = await makeEnvironment();
    const [first, second] = [await startBus(environment), await startBus(environment)];
    const replicas = [await collect(first, { maxInFlight: 4 }, ack), await collect(second, { maxInFlight: 4 }, ack)];
    const other = await collect(first, { processor: 'audit' }, ack);
    const sent = Array.from({ length: 40 }, (_, i) => `m${i}`);
    for (const payload of sent) await first.messages.publish(message({ payload: Buffer.from(payload) }));
    await eventually(() => other.deliveries.length === 40);
    const texts = (): string[] => replicas.flatMap((replica) => replica.texts());
    await eventually(() => texts().length === 40);
    assert.deepEqual(texts().sort(), [...sent].sort());
    assert.ok(replicas.every((replica) => replica.deliveries.length > 0));
  });

  test('delivers only the endpoints that a processor asks for', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { endpoints: ['/chat', '/feed'] }, ack);
    await collect(bus, { processor: 'rest', endpoints: ['/other', '/chat/deeper'] }, ack);
    for (const endpoint of ['/other', '/chat', '/chat/deeper', '/feed']) {
      await bus.messages.publish(message({ endpoint, payload: Buffer.from(endpoint) }));
    }
    await eventually(() => got.deliveries.length === 2);
    await holds(() => got.deliveries.length === 2, 100);
    assert.deepEqual(got.texts().sort(), ['/chat', '/feed']);
  });

  test('stores a message that nobody would get only once there is a consumer, in order', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus, { processor: 'other', endpoints: ['/other'] }, ack);
    let stored = 0;
    const sent = ['1', '2', '3'].map((payload) => bus.messages.publish(message({ payload: Buffer.from(payload) })));
    for (const one of sent) void one.then(() => stored++);
    await bus.messages.publish(message({ endpoint: '/other', connectionId: 'gw-1-def' }));
    await holds(() => stored === 0, 100);
    assert.deepEqual(bus.messages.unacknowledged.messages, 3);
    const got = await collect(bus, {}, ack);
    await Promise.all(sent);
    await eventually(() => got.deliveries.length === 3);
    assert.deepEqual(got.texts(), ['1', '2', '3']);
  });

  test('keeps nothing for a processor that is added later', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus, { processor: 'early' }, ack);
    await bus.messages.publish(message({ payload: Buffer.from('before') }));
    const late = await collect(bus, { processor: 'late' }, ack);
    await bus.messages.publish(message({ payload: Buffer.from('after') }));
    await late.delivery('after');
    assert.deepEqual(late.texts(), ['after']);
  });

  test('keeps messages for a processor without a running replica', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const before = await collect(bus);
    await before.consumption.stop();
    await bus.messages.publish(message({ payload: Buffer.from('kept') }));
    const after = await collect(await startBus(environment), {}, ack);
    await after.delivery('kept');
    assert.equal(before.deliveries.length, 0);
  });
}

function storage(makeEnvironment: MakeBusEnvironment): void {
  for (const isApart of [false, true]) {
    test(`knows what is left of a connection's messages that are ${isApart ? '' : 'not '}stored apart`, async () => {
      await using environment = await makeEnvironment();
      const bus = await startBus(environment);
      const [one, other] = [new Account(bus), new Account(bus, 'gw-1-other')];
      assert.equal(await one.left(isApart), 0);
      const got = await collect(bus);
      await collect(bus, { processor: 'audit' }, ack);
      for (const payload of ['1', '2', '3']) await one.publish([payload], isApart);
      await other.publish(['4'], isApart);
      assert.equal(await one.left(isApart), 3);
      (await got.delivery('2')).nak(60_000);
      const parked = await bus.waiting.park('chat', 'slow', await got.delivery('3'), { attempts: 0, dueAtMs: 0 });
      assert.equal(parked, 'stored');
      (await got.delivery('1')).ack();
      // It may count what is consumed behind something that is not, and nothing too few.
      await eventually(async () => assert.ok([2, 3].includes((await one.left(isApart)) ?? 0)));
      assert.equal(await other.left(isApart), 1);
      await environment.setDown(true);
      await eventually(() => bus.status === 'down');
      assert.equal(await one.left(isApart), undefined);
    });
  }

  test('reports everything consumed once it is', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus, {}, ack);
    const account = new Account(bus);
    await account.publish(['1', '2', '3', '4', '5']);
    await account.publish(['6', '7'], true);
    await eventually(async () => assert.deepEqual([await account.left(), await account.left(true)], [0, 0]));
  });
}

function redelivery(makeEnvironment: MakeBusEnvironment): void {
  test('redelivers after a nak with the same id, not before the delay', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    let nakedAtMs = 0;
    const got = await collect(bus, {}, (delivery) => {
      if (delivery.attempt > 2) return delivery.ack();
      nakedAtMs = performance.now();
      delivery.nak(delivery.attempt === 1 ? 0 : 300);
    });
    const sent = message();
    await bus.messages.publish(sent);
    const last = await got.delivery('hello', 3);
    assert.ok(performance.now() - nakedAtMs >= 290);
    assert.equal(last.id, sent.id);
    assert.deepEqual(
      got.deliveries.map((delivery) => delivery.attempt),
      [1, 2, 3],
    );
  });

  test('redelivers when a delivery does not end in time', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ackTimeoutMs: 300 });
    await bus.messages.publish(message());
    (await got.delivery('hello', 2)).ack();
  });

  test('does not redeliver while a delivery is reported at work', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ackTimeoutMs: 400 });
    await bus.messages.publish(message());
    const open = await got.delivery('hello');
    await holds(() => {
      open.working();
      return got.deliveries.length === 1;
    }, 1200);
    open.ack();
    await holds(() => got.deliveries.length === 1, 600);
  });

  test('never redelivers what was acknowledged or terminated, and ignores later calls', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ackTimeoutMs: 300 }, (delivery) => {
      if (text(delivery.payload) === 'term') delivery.term('not wanted');
      else delivery.ack();
      delivery.nak(0);
      delivery.ack();
    });
    await bus.messages.publish(message({ payload: Buffer.from('ack') }));
    await bus.messages.publish(message({ payload: Buffer.from('term') }));
    await eventually(() => got.deliveries.length === 2);
    await holds(() => got.deliveries.length === 2, 700);
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 }));
  });

  test('delivers the open deliveries of a replica that died to another one', async () => {
    await using environment = await makeEnvironment();
    const [dying, living] = [await startBus(environment), await startBus(environment)];
    const first = await collect(dying, { ackTimeoutMs: 500 });
    await living.messages.publish(message());
    const open = await first.delivery('hello');
    await dying.stop();
    open.ack();
    const second = await collect(living, { ackTimeoutMs: 500 }, ack);
    assert.equal((await second.delivery('hello', 2)).attempt, 2);
  });
}

function consumption(makeEnvironment: MakeBusEnvironment): void {
  test('never has more than maxInFlight deliveries open', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { maxInFlight: 3 });
    await Promise.all(Array.from({ length: 10 }, () => bus.messages.publish(message())));
    await eventually(() => got.deliveries.length === 3);
    await holds(() => got.deliveries.length === 3, 200);
    got.deliveries[0]?.ack();
    got.deliveries[1]?.nak(60_000);
    await eventually(() => got.deliveries.length === 5);
    await holds(() => got.deliveries.length === 5, 100);
  });

  test('begins no delivery after the consumption was stopped, but lets open ones end', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ackTimeoutMs: 400 });
    await bus.messages.publish(message());
    const open = await got.delivery('hello');
    await got.consumption.stop();
    assert.equal(got.consumption.isReady, false);
    open.ack();
    await bus.messages.publish(message({ payload: Buffer.from('next') }));
    const next = await collect(bus, { ackTimeoutMs: 400 }, ack);
    await next.delivery('next');
    await holds(() => next.deliveries.length === 1 && got.deliveries.length === 1, 600);
  });

  test('reports pending and unacknowledged messages as its lag', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { maxInFlight: 2 });
    await Promise.all(Array.from({ length: 5 }, () => bus.messages.publish(message())));
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 3, unacknowledged: 2 }));
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    assert.equal(await got.consumption.lag(), undefined);
    assert.equal(got.consumption.isReady, false);
  });

  test('knows which endpoints are consumed', async () => {
    await using environment = await makeEnvironment();
    const [bus, other] = [await startBus(environment), await startBus(environment)];
    let changes = 0;
    bus.messages.onConsumers(() => changes++);
    assert.equal(bus.messages.isConsumed('/chat'), false);
    await collect(other, { endpoints: ['/chat'], ordering: 'PerConnection', partitions: 8 });
    await eventually(() => bus.messages.isConsumed('/chat'));
    assert.equal(bus.messages.isConsumed('/feed'), false);
    assert.ok(changes > 0);
    await collect(other, { processor: 'all' });
    await eventually(() => bus.messages.isConsumed('/feed'));
  });

  test('refuses names that would reach another subject', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await assert.rejects(bus.messages.publish(message({ connectionId: 'a.>' })), { code: 'HYD_CONNECTION_ID_INVALID' });
    assert.throws(() => bus.deadLetters.of('a.b'), { code: 'HYD_CONFIG_INVALID' });
    assert.throws(() => bus.peers.serve('*', async (payload) => payload), { code: 'HYD_CONNECTION_ID_INVALID' });
  });
}
