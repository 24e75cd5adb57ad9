/** The bus contract: waiting rooms, where the messages of a processor wait that can't be delivered yet. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import type { Parking, WaitingRoom } from '../../../runtime/bus/port/waiting.ts';
import type { HydrogenError } from '../../../runtime/errors.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { ack, collect, type MakeBusEnvironment, message, startBus, text } from './kit.ts';

export function busWaiting(makeEnvironment: MakeBusEnvironment): void {
  parking(makeEnvironment);
  parkingAgain(makeEnvironment);
  deliveries(makeEnvironment);
  replicas(makeEnvironment);
  refusals(makeEnvironment);
}

const unsent: Parking = { attempts: 0, dueAtMs: 0 };

interface Entered {
  readonly room: WaitingRoom;
  readonly deliveries: Delivery[];
  readonly problems: HydrogenError[];
  texts(): string[];
}

/** @param onDelivery default: leaves every delivery open */
function enter(
  bus: Bus,
  name: string,
  { ackTimeoutMs = 10_000, maxOpen = 64, onDelivery = (_: Delivery): void => {} } = {},
): Entered {
  const deliveries: Delivery[] = [];
  const problems: HydrogenError[] = [];
  const take = (delivery: Delivery): void => {
    deliveries.push(delivery);
    onDelivery(delivery);
  };
  const room = bus.waiting.enter('chat', name, { ackTimeoutMs, maxOpen }, take, (problem) => problems.push(problem));
  return { room, deliveries, problems, texts: () => deliveries.map(({ payload }) => text(payload)) };
}

/** Publishes each text as a message of its own and parks it. */
async function parkAll(bus: Bus, room: string, texts: readonly string[]): Promise<void> {
  const parked: Promise<unknown>[] = [];
  const { consumption } = await collect(bus, { maxInFlight: 1024 }, (delivery) => {
    parked.push(bus.waiting.park('chat', room, delivery, unsent).then((answer) => assert.equal(answer, 'stored')));
  });
  for (const [index, one] of texts.entries()) {
    await bus.messages.publish(message({ payload: Buffer.from(one) }));
    await eventually(() => parked.length > index);
  }
  await Promise.all(parked);
  await consumption.stop();
}

function parking(makeEnvironment: MakeBusEnvironment): void {
  test('moves a delivery into a room, with everything that is known about it', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus);
    const name = 'https://räume.test:8443';
    const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
    const sent = message({ payload, endpoint: '/räume/a.b c' });
    await bus.messages.publish(sent);
    const source = await eventually(() => got.deliveries[0] ?? false);
    assert.deepEqual([source.room, source.dueAtMs, source.cause], [undefined, 0, undefined]);
    const dueAtMs = Date.now() + 5000;
    const cause = { code: 'HYD_DESTINATION_FAILED', detail: 'grüße\r\nzeile', status: 503, rule: 'rest' };
    assert.equal(await bus.waiting.park('chat', name, source, { attempts: 3, dueAtMs, cause }), 'stored');
    const waiting = enter(bus, name);
    const delivery = await eventually(() => waiting.deliveries[0] ?? false);
    const { id, connectionId, endpoint, callbackUrl, attempt, isReplay, storedAtMs, room } = delivery;
    assert.deepEqual(
      { id, connectionId, endpoint, callbackUrl, attempt, isReplay, storedAtMs, room, dueAtMs: delivery.dueAtMs },
      {
        id: sent.id,
        connectionId: sent.connectionId,
        endpoint: sent.endpoint,
        callbackUrl: sent.callbackUrl,
        attempt: 4,
        isReplay: false,
        storedAtMs: source.storedAtMs,
        room: name,
        dueAtMs,
      },
    );
    assert.deepEqual(delivery.cause, cause);
    assert.deepEqual(Uint8Array.from(delivery.payload), payload);
    assert.notEqual(delivery.source, source.source);
    assert.deepEqual(waiting.problems, []);
  });

  test('counts a parked message as pending and no longer as unacknowledged, until it is acknowledged', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ackTimeoutMs: 500 });
    await bus.messages.publish(message());
    await bus.waiting.park('chat', 'slow', await got.delivery('hello'), unsent);
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 1, unacknowledged: 0 }));
    assert.deepEqual(await bus.waiting.rooms('chat'), new Map([['slow', 1]]));
    await holds(() => got.deliveries.length === 1, 1000);
    const waiting = enter(bus, 'slow');
    const delivery = await eventually(() => waiting.deliveries[0] ?? false);
    assert.equal(await waiting.room.count(), 1);
    delivery.ack();
    await eventually(async () => assert.equal(await waiting.room.count(), 0));
    assert.deepEqual(await bus.waiting.rooms('chat'), new Map());
    assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 });
  });

  test('stores a delivery once, however often it is parked, also when it was delivered again', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus, { ackTimeoutMs: 300 });
    await bus.messages.publish(message());
    const first = await got.delivery('hello');
    const again = await got.delivery('hello', 2);
    assert.equal(again.source, first.source);
    for (const delivery of [first, again, again]) {
      assert.equal(await bus.waiting.park('chat', 'slow', delivery, unsent), 'stored');
    }
    const waiting = enter(bus, 'slow');
    await eventually(() => waiting.deliveries.length === 1);
    await holds(() => waiting.deliveries.length === 1 && got.deliveries.length === 2, 500);
    assert.equal(await waiting.room.count(), 1);
  });

  test('marks what was replayed, and delivers it to its own processor alone', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus);
    const sent = message();
    await bus.deadLetters.store('chat', sent, 8, { code: 'HYD_DESTINATION_FAILED', detail: '' });
    const [letter] = await bus.deadLetters.of('chat').list(1);
    await bus.deadLetters.of('chat').replay(letter?.sequence ?? 0);
    await bus.waiting.park('chat', 'slow', await got.delivery('hello'), unsent);
    assert.deepEqual(await bus.waiting.rooms('audit'), new Map());
    const waiting = enter(bus, 'slow');
    const delivery = await eventually(() => waiting.deliveries[0] ?? false);
    assert.deepEqual([delivery.id, delivery.isReplay, delivery.attempt], [sent.id, true, 1]);
  });
}

function parkingAgain(makeEnvironment: MakeBusEnvironment): void {
  test('moves what is parked again to the end of its room, with its new attempts', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await parkAll(bus, 'slow', ['a', 'b', 'c']);
    const storedAtMs = new Map<string, number>();
    const waiting = enter(bus, 'slow', {
      maxOpen: 1,
      onDelivery: (delivery) => {
        storedAtMs.set(delivery.id, storedAtMs.get(delivery.id) ?? delivery.storedAtMs);
        assert.equal(delivery.storedAtMs, storedAtMs.get(delivery.id));
        if (text(delivery.payload) !== 'a' || delivery.attempt > 1) return delivery.ack();
        void bus.waiting.park('chat', 'slow', delivery, { attempts: delivery.attempt, dueAtMs: 5 });
      },
    });
    await eventually(() => waiting.deliveries.length === 4);
    assert.deepEqual(waiting.texts(), ['a', 'b', 'c', 'a']);
    assert.deepEqual([waiting.deliveries[3]?.attempt, waiting.deliveries[3]?.dueAtMs], [2, 5]);
    await eventually(async () => assert.equal(await waiting.room.count(), 0));
  });

  test('moves a message from one room to another', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await parkAll(bus, 'old', ['a']);
    const old = enter(bus, 'old', {
      onDelivery: (delivery) => void bus.waiting.park('chat', 'new', delivery, unsent),
    });
    const next = enter(bus, 'new');
    const delivery = await eventually(() => next.deliveries[0] ?? false);
    assert.deepEqual([delivery.room, delivery.attempt], ['new', 1]);
    await eventually(async () => assert.equal(await old.room.count(), 0));
    assert.deepEqual(await bus.waiting.rooms('chat'), new Map([['new', 1]]));
  });

  test('drops the reason for a dead letter when it is parked without one', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus);
    await bus.messages.publish(message());
    const cause = { code: 'HYD_NO_RULE_MATCHED', detail: '' };
    await bus.waiting.park('chat', 'slow', await got.delivery('hello'), { ...unsent, cause });
    const waiting = enter(bus, 'slow');
    const first = await eventually(() => waiting.deliveries[0] ?? false);
    assert.deepEqual(first.cause, cause);
    await bus.waiting.park('chat', 'slow', first, unsent);
    const second = await eventually(() => waiting.deliveries[1] ?? false);
    assert.equal(second.cause, undefined);
  });
}

function deliveries(makeEnvironment: MakeBusEnvironment): void {
  test('delivers the messages of a room oldest first', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const texts = Array.from({ length: 40 }, (_, i) => `m${i}`);
    await parkAll(bus, 'slow', texts);
    const waiting = enter(bus, 'slow', { maxOpen: 4, onDelivery: ack });
    await eventually(() => waiting.deliveries.length === 40);
    assert.deepEqual(waiting.texts(), texts);
  });

  test('delivers each room by itself', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await parkAll(bus, 'stuck', ['a', 'b']);
    await parkAll(bus, 'fine', ['c', 'd']);
    assert.deepEqual(
      await bus.waiting.rooms('chat'),
      new Map([
        ['stuck', 2],
        ['fine', 2],
      ]),
    );
    const stuck = enter(bus, 'stuck', { maxOpen: 1 });
    await eventually(() => stuck.deliveries.length === 1);
    const fine = enter(bus, 'fine', { maxOpen: 1, onDelivery: ack });
    await eventually(() => fine.deliveries.length === 2);
    assert.deepEqual([stuck.texts(), fine.texts()], [['a'], ['c', 'd']]);
  });

  test('delivers what is parked after the room was entered', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const waiting = enter(bus, 'slow', { onDelivery: ack });
    await parkAll(bus, 'slow', ['a']);
    await eventually(() => waiting.deliveries.length === 1);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    await environment.setDown(false);
    await eventually(() => bus.status === 'up');
    await parkAll(bus, 'slow', ['b']);
    await eventually(() => waiting.deliveries.length === 2);
    assert.deepEqual(waiting.texts(), ['a', 'b']);
  });
}

function replicas(makeEnvironment: MakeBusEnvironment): void {
  test('shares a room among the replicas of a processor', async () => {
    await using environment = await makeEnvironment();
    const [first, second] = [await startBus(environment), await startBus(environment)];
    const texts = Array.from({ length: 8 }, (_, i) => `m${i}`);
    await parkAll(first, 'slow', texts);
    const replicas = [enter(first, 'slow', { maxOpen: 4 }), enter(second, 'slow', { maxOpen: 4 })];
    await eventually(() => replicas.every(({ deliveries }) => deliveries.length === 4));
    assert.deepEqual(replicas.flatMap((replica) => replica.texts()).sort(), texts);
  });

  test('counts an attempt more when a delivery does not end in time', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus);
    await bus.messages.publish(message());
    await bus.waiting.park('chat', 'slow', await got.delivery('hello'), { attempts: 2, dueAtMs: 0 });
    const waiting = enter(bus, 'slow', { ackTimeoutMs: 400 });
    await eventually(() => waiting.deliveries.length === 1);
    await holds(() => {
      waiting.deliveries[0]?.working();
      return waiting.deliveries.length === 1;
    }, 1000);
    await eventually(() => waiting.deliveries.length === 2);
    assert.deepEqual(
      waiting.deliveries.map(({ attempt }) => attempt),
      [3, 4],
    );
  });

  test('delivers to another replica what a stopped bus had open', async () => {
    await using environment = await makeEnvironment();
    const [first, second] = [await startBus(environment), await startBus(environment)];
    await parkAll(first, 'slow', ['a', 'b', 'c']);
    const before = enter(first, 'slow', { ackTimeoutMs: 500 });
    await eventually(() => before.deliveries.length === 3);
    await first.stop();
    const after = enter(second, 'slow', { ackTimeoutMs: 500, onDelivery: ack });
    await eventually(() => after.deliveries.length === 3);
    assert.deepEqual(after.texts().sort(), ['a', 'b', 'c']);
    assert(after.deliveries.every(({ attempt }) => attempt === 2));
  });

  test('begins no delivery after it was stopped, and still ends open ones', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await parkAll(bus, 'slow', ['a', 'b']);
    const before = enter(bus, 'slow', { maxOpen: 1 });
    await eventually(() => before.deliveries.length === 1);
    await before.room.stop();
    before.deliveries[0]?.ack();
    await holds(() => before.deliveries.length === 1, 300);
    const after = enter(bus, 'slow', { onDelivery: ack });
    await eventually(() => after.deliveries.length === 1);
    assert.deepEqual([before.texts(), after.texts()], [['a'], ['b']]);
  });

  test('delivers no more than may be open, nothing while that is 0, and goes on when it grows', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await parkAll(bus, 'slow', ['a', 'b', 'c', 'd', 'e']);
    const waiting = enter(bus, 'slow', { maxOpen: 0 });
    await holds(() => waiting.deliveries.length === 0, 300);
    waiting.room.maxOpen = 2;
    await eventually(() => waiting.deliveries.length === 2);
    waiting.room.maxOpen = 0;
    for (const delivery of waiting.deliveries) delivery.ack();
    await holds(() => waiting.deliveries.length === 2, 300);
    waiting.room.maxOpen = 3;
    await eventually(() => waiting.deliveries.length === 5);
    assert.deepEqual(waiting.texts(), ['a', 'b', 'c', 'd', 'e']);
  });
}

function refusals(makeEnvironment: MakeBusEnvironment): void {
  test('refuses more than a quarter of the store in one room, until there is room again', async () => {
    await using environment = await makeEnvironment({ maxStoredBytes: 512 * 1024 });
    const bus = await startBus(environment);
    const got = await collect(bus, { maxInFlight: 1 });
    const payload = Buffer.alloc(16 * 1024, 'x');
    const answers: string[] = [];
    for (let i = 0; i < 12; i++) {
      await bus.messages.publish(message({ payload }));
      const delivery = await eventually(() => got.deliveries[i] ?? false);
      const answer = await bus.waiting.park('chat', 'slow', delivery, unsent);
      answers.push(answer);
      if (answer === 'full') delivery.ack();
    }
    const stored = answers.filter((answer) => answer === 'stored').length;
    assert.ok(stored >= 6 && stored <= 8, answers.join(' '));
    assert.deepEqual(new Set(answers), new Set(['stored', 'full']));
    await bus.messages.publish(message({ payload: Buffer.from('other') }));
    assert.equal(await bus.waiting.park('chat', 'fast', await got.delivery('other'), unsent), 'stored');
    enter(bus, 'slow', { onDelivery: ack });
    await bus.messages.publish(message({ payload: Buffer.from('late') }));
    const late = await got.delivery('late');
    await eventually(async () => assert.equal(await bus.waiting.park('chat', 'slow', late, unsent), 'stored'));
  });

  test('keeps the delivery open while the bus is down', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus);
    await bus.messages.publish(message());
    const delivery = await got.delivery('hello');
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    assert.equal(await bus.waiting.park('chat', 'slow', delivery, unsent), 'unavailable');
    assert.equal(await bus.waiting.rooms('chat'), undefined);
    const waiting = enter(bus, 'slow');
    assert.equal(await waiting.room.count(), undefined);
    await environment.setDown(false);
    await eventually(async () =>
      assert.equal(await bus.waiting.park('chat', 'slow', delivery, { attempts: 1, dueAtMs: 7 }), 'stored'),
    );
    const parked = await eventually(() => waiting.deliveries[0] ?? false);
    assert.deepEqual([parked.attempt, parked.dueAtMs], [2, 7]);
  });

  test('refuses names that are not valid', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const got = await collect(bus);
    await bus.messages.publish(message());
    const delivery = await got.delivery('hello');
    for (const [processor, room] of [
      ['chat', ''],
      ['chat', 'x'.repeat(301)],
      ['a.b', 'slow'],
    ] as const) {
      await assert.rejects(bus.waiting.park(processor, room, delivery, unsent), { code: 'HYD_CONFIG_INVALID' });
    }
  });
}
