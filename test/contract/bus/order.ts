/** The bus contract: messages of a processor with `ordering: PerConnection`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import type { ConsumerOptions, Consumption, Delivery } from '../../../runtime/bus/port/messages.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { collect, type MakeBusEnvironment, message, startBus, text } from './kit.ts';

/** What was done for one message. */
interface Done {
  readonly connectionId: string;
  readonly body: string;
  readonly attempt: number;
}

interface Orderly {
  readonly consumption: Consumption;
  /** Every message on which work began, in order. */
  readonly begun: Done[];
  readonly deliveries: readonly Delivery[];
}

const ordered: Partial<ConsumerOptions> = { ordering: 'PerConnection', partitions: 4, takeoverMs: 1000 };

export function busOrder(makeEnvironment: MakeBusEnvironment): void {
  order(makeEnvironment);
  handover(makeEnvironment);
}

function order(makeEnvironment: MakeBusEnvironment): void {
  test('gives a connection to one replica at a time, in order, with several messages open', async () => {
    await using environment = await makeEnvironment();
    const buses = [await startBus(environment), await startBus(environment)];
    const done: Done[] = [];
    const open = new Set<string>();
    for (const bus of buses) {
      await orderly(bus, async (delivery) => {
        assert.ok(!open.has(delivery.connectionId), 'one message of a connection at a time');
        open.add(delivery.connectionId);
        await new Promise(setImmediate);
        open.delete(delivery.connectionId);
        done.push(doneOf(delivery));
        delivery.ack();
      });
    }
    const connections = ['a-1', 'a-2', 'b-3', 'c-4', 'd-5', 'e-6', 'f-7'];
    await publish(buses[0], connections, 30);
    await eventually(() => done.length === 210, { timeoutMs: 20_000 });
    for (const connectionId of connections) assert.deepEqual(bodies(done, connectionId), numbers(30));
  });

  test('reads a payload again that was forgotten', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ...ordered, partitions: 1 });
    await publish(bus, ['a-1', 'b-2'], 3);
    await eventually(() => got.deliveries.length === 6);
    const before = got.texts();
    assert.ok(got.deliveries.every((delivery) => delivery.shed()));
    const outcomes = await Promise.all(got.deliveries.map((delivery) => delivery.recall()));
    assert.deepEqual(new Set(outcomes), new Set(['read']));
    assert.deepEqual(got.texts(), before);
  });

  test('a message that rests holds back nothing that is not of its connection', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ...ordered, partitions: 1 });
    await publish(bus, ['bad-1'], 3);
    await eventually(() => got.deliveries.length === 3);
    const first = got.deliveries[0] ?? assert.fail();
    assert.ok(first.begin());
    first.rest(1);
    assert.equal(first.attempt, 2);
    await publish(bus, ['good-1', 'good-2'], 5);
    await eventually(() => got.deliveries.length === 13);
    assert.ok(first.begin());
    first.rest(1);
    assert.equal(first.attempt, 3);
    assert.deepEqual(
      got.deliveries.slice(0, 3).map((one) => one.attempt),
      [3, 1, 1],
    );
  });
}

function handover(makeEnvironment: MakeBusEnvironment): void {
  test('a consumption that stops hands over what has not begun, in order and without an attempt', async () => {
    await using environment = await makeEnvironment();
    const [first, second] = [await startBus(environment), await startBus(environment)];
    const old = await collect(first, ordered);
    await publish(first, ['a-1', 'b-2'], 4);
    await eventually(() => old.deliveries.length === 8);
    const begun = old.deliveries.find((one) => one.connectionId === 'a-1') ?? assert.fail();
    const failed = old.deliveries.find((one) => one.connectionId === 'b-2') ?? assert.fail();
    assert.ok(begun.begin());
    assert.ok(failed.begin());
    failed.rest(1);
    const stopped = old.consumption.stop();
    await eventually(() => old.deliveries.every((one) => one === begun || one.isWithdrawn));
    assert.equal(old.deliveries[2]?.begin(), false);
    const done: Done[] = [];
    const next = await orderly(second, async (delivery) => {
      done.push(doneOf(delivery));
      delivery.ack();
    });
    await holds(() => bodies(next.begun, 'a-1').length === 0, 300);
    begun.ack();
    await stopped;
    await eventually(() => done.length === 7);
    assert.deepEqual(bodies(done, 'a-1'), ['1', '2', '3']);
    assert.deepEqual(bodies(done, 'b-2'), ['0', '1', '2', '3']);
    const attempts = done.filter(({ attempt }) => attempt > 1);
    assert.deepEqual(attempts, [{ connectionId: 'b-2', body: '0', attempt: 2 }]);
    await holds(() => done.length === 7, 100);
  });

  test('what a dead replica had open goes to another one in order, and the first of each connection counts', async () => {
    await using environment = await makeEnvironment();
    const [dying, living] = [await startBus(environment), await startBus(environment)];
    const old = await collect(dying, ordered);
    await publish(living, ['a-1', 'b-2'], 3);
    await eventually(() => old.deliveries.length === 6);
    for (const one of old.deliveries) if (text(one.payload) === '0') one.begin();
    await dying.stop();
    for (const one of old.deliveries) one.ack();
    const next = await orderly(living, async (delivery) => delivery.ack());
    await eventually(() => next.begun.length === 6, { timeoutMs: 20_000 });
    for (const connectionId of ['a-1', 'b-2']) {
      assert.deepEqual(bodies(next.begun, connectionId), ['0', '1', '2']);
      assert.deepEqual(
        next.begun.filter((one) => one.connectionId === connectionId).map(({ attempt }) => attempt),
        [2, 1, 1],
      );
    }
  });

  test('a replica that joins gets its share of the connections', async () => {
    await using environment = await makeEnvironment();
    const [first, second] = [await startBus(environment), await startBus(environment)];
    const work = async (delivery: Delivery): Promise<void> => delivery.ack();
    const options = { ...ordered, partitions: 16 };
    const old = await orderly(first, work, options);
    const connections = Array.from({ length: 100 }, (_, i) => `gw-${i}`);
    await publish(first, connections, 2);
    await eventually(() => old.begun.length === 200);
    assert.equal(old.consumption.lanes, 16);
    const next = await orderly(second, work, options);
    await publish(first, connections, 2, 2);
    await eventually(() => old.begun.length + next.begun.length === 400);
    await publish(first, connections, 2, 4);
    await eventually(() => old.consumption.lanes === 8 && next.consumption.lanes === 8);
    await publish(first, connections, 2, 6);
    const all = [...old.begun, ...next.begun];
    await eventually(() => old.begun.length + next.begun.length === 800);
    assert.ok(next.begun.length >= 20, `${next.begun.length} of ${all.length}`);
    for (const { attempt } of [...old.begun, ...next.begun]) assert.equal(attempt, 1);
  });
}

/** Works on one message of a connection after another, and says so to the bus, as processors do. */
async function orderly(
  bus: Bus,
  work: (delivery: Delivery) => Promise<void>,
  options: Partial<ConsumerOptions> = {},
): Promise<Orderly> {
  const begun: Done[] = [];
  const lines = new Map<string, Promise<void>>();
  const got = await collect(bus, { ...ordered, ...options }, (delivery) => {
    const before = lines.get(delivery.connectionId) ?? Promise.resolve();
    const after = before.then(async () => {
      if (!delivery.begin()) return;
      begun.push(doneOf(delivery));
      await work(delivery);
    });
    lines.set(delivery.connectionId, after);
  });
  return { consumption: got.consumption, begun, deliveries: got.deliveries };
}

/** Messages `from`, `from + 1`, ... of each connection. */
async function publish(bus: Bus | undefined, connections: readonly string[], count: number, from = 0): Promise<void> {
  const sent: Promise<number>[] = [];
  for (let number = from; number < from + count; number++) {
    for (const connectionId of connections) {
      sent.push(bus?.messages.publish(message({ connectionId, payload: Buffer.from(`${number}`) })) ?? assert.fail());
    }
  }
  await Promise.all(sent);
}

function doneOf({ connectionId, payload, attempt }: Delivery): Done {
  return { connectionId, body: text(payload), attempt };
}

function bodies(done: readonly Done[], connectionId: string): string[] {
  return done.filter((one) => one.connectionId === connectionId).map(({ body }) => body);
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}`);
}
