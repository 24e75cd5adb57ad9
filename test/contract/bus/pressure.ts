/** The bus contract: status and back-pressure when the server is away, full or too slow. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, holds } from '../../kit/eventually.ts';
import { ack, collect, type MakeBusEnvironment, message, startBus } from './kit.ts';

export function busPressure(makeEnvironment: MakeBusEnvironment): void {
  outage(makeEnvironment);
  limits(makeEnvironment);
}

function outage(makeEnvironment: MakeBusEnvironment): void {
  test('is down until it is started, and reports when it is up, down and stopped', async () => {
    await using environment = await makeEnvironment();
    const bus = environment.bus();
    const seen: string[] = [];
    bus.onStatus((status) => seen.push(status));
    assert.equal(bus.status, 'down');
    assert.equal(bus.messages.isPressed, true);
    await bus.start();
    await eventually(() => bus.status === 'up' && !bus.messages.isPressed);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down' && bus.messages.isPressed);
    await environment.setDown(false);
    await eventually(() => bus.status === 'up' && !bus.messages.isPressed);
    await bus.stop();
    assert.equal(bus.status, 'stopped');
    assert.deepEqual(seen, ['up', 'down', 'up', 'stopped']);
  });

  test('comes up by itself when the server was missing at the start', async () => {
    await using environment = await makeEnvironment();
    await environment.setDown(true);
    const bus = environment.bus();
    await bus.start();
    assert.equal(bus.status, 'down');
    const consumption = bus.messages.consume(
      {
        processor: 'chat',
        endpoints: undefined,
        ackTimeoutMs: 5000,
        maxInFlight: 8,
        ordering: 'Unordered',
        partitions: 1,
      },
      ack,
      () => {},
    );
    assert.equal(consumption.isReady, false);
    await environment.setDown(false);
    await eventually(() => bus.status === 'up' && consumption.isReady);
  });

  test('stores what was published while the server was down, once and in order', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ordering: 'PerConnection', partitions: 1 }, ack);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    const sent = Array.from({ length: 20 }, (_, i) => `${i}`);
    const stored = Promise.all(sent.map((payload) => bus.messages.publish(message({ payload: Buffer.from(payload) }))));
    assert.equal(bus.messages.unacknowledged.messages, 20);
    assert.equal(bus.messages.unacknowledged.bytes, 30);
    await environment.setDown(false);
    await stored;
    assert.deepEqual(bus.messages.unacknowledged, { messages: 0, bytes: 0 });
    await eventually(() => got.deliveries.length >= 20);
    await holds(() => got.deliveries.length === 20, 100);
    assert.deepEqual(got.texts(), sent);
  });
}

function limits(makeEnvironment: MakeBusEnvironment): void {
  test('is pressed while more is unacknowledged than its limits allow', async () => {
    await using environment = await makeEnvironment({
      publishLimits: { maxUnacknowledgedMessages: 4, maxUnacknowledgedBytes: 1000 },
    });
    const bus = await startBus(environment);
    await collect(bus, {}, ack);
    const seen: boolean[] = [];
    bus.messages.onPressure((isPressed) => seen.push(isPressed));
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    const stored = Promise.all(Array.from({ length: 50 }, () => bus.messages.publish(message())));
    await environment.setDown(false);
    await stored;
    await eventually(() => !bus.messages.isPressed);
    assert.equal(seen[0], true);
    assert.equal(seen.at(-1), false);
  });

  test('waits and is pressed while the store is full, and loses nothing', async () => {
    await using environment = await makeEnvironment({ maxStoredBytes: 64 * 1024 });
    const bus = await startBus(environment);
    let isTaking = false;
    const got = await collect(bus, { maxInFlight: 1 }, (delivery) => {
      if (isTaking) delivery.ack();
    });
    const payload = Buffer.alloc(4096);
    const sent = Array.from({ length: 32 }, () => message({ payload }));
    let stored = 0;
    const all = Promise.all(sent.map(async (one) => bus.messages.publish(one).then(() => stored++)));
    await eventually(() => bus.messages.isPressed && bus.messages.unacknowledged.messages > 0 && stored >= 8);
    await holds(() => bus.messages.isPressed && stored < 20, 300);
    isTaking = true;
    got.deliveries[0]?.ack();
    await all;
    await eventually(() => !bus.messages.isPressed);
    await eventually(() => new Set(got.deliveries.map((delivery) => delivery.id)).size === 32);
  });

  test('refuses a payload that is too large at once', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus, {}, ack);
    const payload = Buffer.alloc(bus.messages.maxPayloadBytes + 1);
    await assert.rejects(bus.messages.publish(message({ payload })), { code: 'HYD_MESSAGE_TOO_LARGE' });
    assert.deepEqual(bus.messages.unacknowledged, { messages: 0, bytes: 0 });
    await bus.messages.publish(message({ payload: payload.subarray(1) }));
  });

  test('flush waits for everything unacknowledged', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus, {}, ack);
    let stored = 0;
    for (let i = 0; i < 10; i++) void bus.messages.publish(message()).then(() => stored++);
    assert.deepEqual(await bus.messages.flush(5000), []);
    await eventually(() => stored === 10);
  });

  test('flush names the connections whose messages could not be stored, and stop rejects them', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    const sent = ['a-1', 'b-2', 'a-1'].map((connectionId) => bus.messages.publish(message({ connectionId })));
    const outcomes = Promise.allSettled(sent);
    assert.deepEqual((await bus.messages.flush(50)).sort(), ['a-1', 'b-2']);
    await bus.stop();
    for (const outcome of await outcomes) {
      assert.equal(outcome.status === 'rejected' && outcome.reason.code, 'HYD_BUS_STOPPED');
    }
    await assert.rejects(bus.messages.publish(message()), { code: 'HYD_BUS_STOPPED' });
  });
}
