import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { RetentionPolicy } from 'nats';
import { createNatsGroup } from '../../../../runtime/bus/nats/group.ts';
import type { Bus } from '../../../../runtime/bus/port/bus.ts';
import type { Delivery } from '../../../../runtime/bus/port/messages.ts';
import type { WaitingRoom } from '../../../../runtime/bus/port/waiting.ts';
import type { HydrogenError } from '../../../../runtime/errors.ts';
import { ack, collect, message, text } from '../../../contract/bus/kit.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { replaced } from '../../../kit/replaced.ts';
import { type NatsGroupKit, natsGroup } from './kit.ts';

const skip = await natsOrSkip();
const unsent = { attempts: 0, dueAtMs: 0 };

interface Visit {
  readonly room: WaitingRoom;
  readonly deliveries: Delivery[];
  readonly problems: HydrogenError[];
}

function enter(bus: Bus, name: string, onDelivery: (delivery: Delivery) => void = ack): Visit {
  const deliveries: Delivery[] = [];
  const problems: HydrogenError[] = [];
  const take = (delivery: Delivery): void => {
    deliveries.push(delivery);
    onDelivery(delivery);
  };
  const options = { ackTimeoutMs: 5000, maxOpen: 64 };
  const room = bus.waiting.enter('chat', name, options, take, (problem) => problems.push(problem));
  return { room, deliveries, problems };
}

/** Publishes a message and resolves with its delivery, which is open. */
async function deliver(bus: Bus, fields: Parameters<typeof message>[0] = {}): Promise<Delivery> {
  const { consumption, deliveries } = await collect(bus);
  await bus.messages.publish(message(fields));
  const delivery = await eventually(() => deliveries[0] ?? false);
  await consumption.stop();
  return delivery;
}

async function waitingMessages(group: NatsGroupKit): Promise<number> {
  const { connection, manager } = await group.client();
  const { state } = await manager.streams.info(group.subjects.waitingStream);
  await connection.close();
  return state.messages;
}

describe('nats waiting rooms when things fail', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('loses nothing and stores nothing twice when the server is killed while messages are parked', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const parked = new Set<string>();
    const parkOrNak = async (delivery: Delivery): Promise<void> => {
      if ((await bus.waiting.park('chat', 'slow', delivery, unsent)) === 'stored') parked.add(delivery.id);
      else delivery.nak(50);
    };
    const options = { ackTimeoutMs: 2000, maxInFlight: 512 };
    const got = await collect(bus, options, (delivery) => void parkOrNak(delivery));
    await Promise.all(Array.from({ length: 500 }, () => bus.messages.publish(message())));
    await eventually(() => parked.size > 50);
    await server.kill('SIGKILL');
    await server.start();
    await eventually(() => parked.size === 500, { timeoutMs: 30_000 });
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 500, unacknowledged: 0 }), {
      timeoutMs: 20_000,
    });
    const visit = enter(bus, 'slow');
    await eventually(async () => (await visit.room.count()) === 0, { timeoutMs: 20_000 });
    assert.equal(new Set(visit.deliveries.map(({ id }) => id)).size, 500);
    assert.equal(visit.deliveries.length, 500);
  });

  test('delivers once from its room what was stored there before its source was acknowledged', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const delivery = await deliver(bus);
    // It dies between storing the message and acknowledging its source.
    const unacknowledged = replaced(delivery, { ack: () => {} });
    assert.equal(await bus.waiting.park('chat', 'slow', unacknowledged, unsent), 'stored');
    await bus.stop();
    const other = await group.started();
    const got = await collect(other, { ackTimeoutMs: 500 });
    const again = await got.delivery('hello', 2);
    assert.equal(await other.waiting.park('chat', 'slow', again, unsent), 'stored');
    const visit = enter(other, 'slow');
    await eventually(() => visit.deliveries.length === 1);
    await holds(() => visit.deliveries.length === 1 && got.deliveries.length === 1, 700);
    assert.equal(await waitingMessages(group), 0);
  });

  test('does not take a message for another one of the same number, after the stream was made again', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const { manager } = await group.client();
    const { consumption, deliveries } = await collect(bus);
    for (const payload of ['before', 'after']) {
      await eventually(() => bus.messages.isConsumed('/chat') && consumption.isReady);
      const count = deliveries.length;
      await bus.messages.publish(message({ payload: Buffer.from(payload) }));
      const delivery = await eventually(() => deliveries[count] ?? false);
      assert.match(delivery.source, /^m1(i0)?$/);
      assert.equal(await bus.waiting.park('chat', 'slow', delivery, unsent), 'stored');
      if (payload === 'after') break;
      await manager.streams.delete(group.subjects.stream);
      await eventually(async () => (await manager.streams.info(group.subjects.stream)).state.consumer_count === 2);
    }
    assert.equal(await waitingMessages(group), 2);
  });

  test('goes on delivering after the consumer of its room was deleted', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const visit = enter(bus, 'slow');
    await bus.waiting.park('chat', 'slow', await deliver(bus), unsent);
    await eventually(() => visit.deliveries.length === 1);
    const { manager } = await group.client();
    const [consumer] = await manager.consumers.list(group.subjects.waitingStream).next();
    await manager.consumers.delete(group.subjects.waitingStream, consumer?.name ?? '');
    await bus.waiting.park('chat', 'slow', await deliver(bus), unsent);
    await eventually(() => visit.deliveries.length === 2);
    assert.deepEqual(visit.problems, []);
  });

  test('finds a room that holds messages although somebody has deleted its consumer', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    for (const endpoint of ['/a', '/b']) {
      await bus.waiting.park('chat', 'https://a.test', await deliver(bus, { endpoint }), unsent);
    }
    const { manager } = await group.client();
    const [consumer] = await manager.consumers.list(group.subjects.waitingStream).next();
    await manager.consumers.delete(group.subjects.waitingStream, consumer?.name ?? '');
    const other = await group.started();
    assert.deepEqual(await other.waiting.rooms('chat'), new Map([['https://a.test', 2]]));
    assert.deepEqual(await other.waiting.rooms('audit'), new Map());
  });

  test('makes its stream again when it was deleted, for parking and for those who are in a room', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const visit = enter(bus, 'slow');
    await bus.waiting.park('chat', 'slow', await deliver(bus), unsent);
    await eventually(() => visit.deliveries.length === 1);
    const { manager } = await group.client();
    await manager.streams.delete(group.subjects.waitingStream);
    const delivery = await deliver(bus);
    await eventually(async () => (await bus.waiting.park('chat', 'slow', delivery, unsent)) === 'stored');
    await eventually(() => visit.deliveries.length === 2);
  });
});

describe('nats waiting rooms and what is in them', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('ends a message that no processor parked, and reports it', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const visit = enter(bus, 'slow');
    await eventually(async () => (await visit.room.count()) === 0);
    const { connection } = await group.client();
    await connection.jetstream().publish(group.subjects.waitingMessage('chat', 'slow', '/chat', 'gw-1'), 'hello');
    await eventually(() => visit.problems.some(({ code }) => code === 'HYD_MESSAGE_UNREADABLE'));
    await eventually(async () => (await visit.room.count()) === 0);
    assert.equal(visit.deliveries.length, 0);
  });

  test('answers full, and leaves the delivery open, when the stream of all rooms is full', async () => {
    const stream = { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 256 * 1024 } as const;
    await using group = natsGroup(server, { stream });
    const bus = await group.started();
    const got = await collect(bus, { maxInFlight: 1 });
    const answers: string[] = [];
    let delivery: Delivery | undefined;
    while (answers.at(-1) !== 'full' && answers.length < 12) {
      const count = answers.length;
      await bus.messages.publish(message({ payload: Buffer.alloc(16 * 1024) }));
      delivery = await eventually(() => got.deliveries[count] ?? false);
      answers.push(await bus.waiting.park('chat', `room-${count}`, delivery, unsent));
    }
    assert.deepEqual(answers, [...Array.from({ length: 7 }, () => 'stored'), 'full']);
    delivery?.nak(0);
    const again = await eventually(() => got.deliveries[8] ?? false);
    assert.deepEqual([again.id, again.attempt], [delivery?.id, 2]);
  });

  test('keeps a reason for a dead letter within the room for headers', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const cause = { code: 'HYD_DESTINATION_FAILED', detail: 'ü'.repeat(10_000), status: 500, rule: 'rest' };
    const delivery = await deliver(bus, { payload: Buffer.alloc(bus.messages.maxPayloadBytes) });
    assert.equal(await bus.waiting.park('chat', 'slow', delivery, { ...unsent, cause }), 'stored');
    const visit = enter(bus, 'slow');
    const parked = await eventually(() => visit.deliveries[0] ?? false);
    assert.deepEqual({ ...parked.cause, detail: '' }, { ...cause, detail: '' });
    assert.match(parked.cause?.detail ?? '', /^ü{100,}$/);
  });

  test('gives back what it never handed out without counting an attempt', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const before = enter(bus, 'slow');
    await eventually(async () => (await before.room.count()) === 0);
    // It has asked for messages by now.
    before.room.maxOpen = 0;
    await bus.waiting.park('chat', 'slow', await deliver(bus), { attempts: 3, dueAtMs: 9 });
    const { manager } = await group.client();
    await eventually(async () => {
      const [consumer] = await manager.consumers.list(group.subjects.waitingStream).next();
      return consumer?.num_ack_pending === 1;
    });
    await before.room.stop();
    assert.equal(before.deliveries.length, 0);
    const visit = enter(bus, 'slow');
    const delivery = await eventually(() => visit.deliveries[0] ?? false);
    assert.deepEqual([delivery.attempt, delivery.dueAtMs], [4, 9]);
  });
});

describe('nats waiting rooms of an account without room for them', { skip }, async () => {
  if (skip !== false) return;

  test('reports it, parks nothing, and delivers everything else', async () => {
    const account = 'A { users: [{user: a, password: a}], jetstream: {max_file: 4G, max_streams: 2} }';
    await using server = await startNats({ config: `accounts { ${account} }\nno_auth_user: a` });
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus);
    await eventually(() => got.problems.some(({ message }) => message.includes(group.subjects.waitingStream)));
    await bus.messages.publish(message());
    const delivery = await got.delivery('hello');
    assert.equal(await bus.waiting.park('chat', 'slow', delivery, unsent), 'unavailable');
    assert.deepEqual(await bus.waiting.rooms('chat'), new Map());
    delivery.ack();
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 }));
  });
});

describe('nats waiting rooms and the operator', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('counts what waits as pending, and removes the rooms of one processor with it', async () => {
    await using group = natsGroup(server);
    const admin = createNatsGroup(group.options);
    admin.start();
    await eventually(() => admin.status === 'up');
    assert.deepEqual(await admin.ensureStreams(), []);
    const bus = await group.started();
    for (const processor of ['chat', 'audit']) {
      const got = await collect(bus, { processor });
      await bus.messages.publish(message({ payload: Buffer.from(processor) }));
      const delivery = await got.delivery(processor);
      await bus.waiting.park(processor, 'slow', delivery, unsent);
      await got.consumption.stop();
    }
    await eventually(async () => assert.equal((await admin.lags()).get('audit')?.pendingMessages, 1));
    assert.equal(await admin.deleteConsumers('chat'), 2);
    assert.deepEqual(await bus.waiting.rooms('chat'), new Map());
    assert.deepEqual(await bus.waiting.rooms('audit'), new Map([['slow', 1]]));
    await admin.deleteStreams();
    const { manager } = await group.client();
    await assert.rejects(manager.streams.info(group.subjects.waitingStream));
    await admin.stop();
  });

  test('has a work queue, half as large as the stream of client messages, that keeps messages twice as long', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const visit = enter(bus, 'slow');
    await eventually(async () => (await visit.room.count()) === 0);
    const { manager } = await group.client();
    const { config } = await manager.streams.info(group.subjects.waitingStream);
    const { maxAgeMs, maxBytes } = group.options.stream;
    assert.equal(config.retention, 'workqueue' as RetentionPolicy);
    assert.deepEqual([config.max_age, config.max_bytes], [2 * maxAgeMs * 1e6, maxBytes / 2]);
    assert.equal(text(Buffer.from(config.name)), `HYDROGEN_${group.options.group}_WAIT`);
  });
});
