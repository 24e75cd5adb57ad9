import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { isComplete, type LaneSet, setsOf } from '../../../../runtime/bus/nats/consumer-sets.ts';
import { listConsumers } from '../../../../runtime/bus/nats/consumer-view.ts';
import { createCore, type NatsCore } from '../../../../runtime/bus/nats/core.ts';
import { lanesOf } from '../../../../runtime/bus/nats/lanes/assignment.ts';
import { Inheritance } from '../../../../runtime/bus/nats/lanes/inheritance.ts';
import { encodeRecord, parseRecord } from '../../../../runtime/bus/nats/lanes/owner-record.ts';
import { type Claim, takeLanes } from '../../../../runtime/bus/nats/lanes/takes.ts';
import type { ConsumerOptions, Delivery } from '../../../../runtime/bus/port/messages.ts';
import { laneOfConnection } from '../../../../runtime/bus/subjects.ts';
import { collect, message, text } from '../../../contract/bus/kit.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { startTcpProxy } from '../../../kit/tcp-proxy.ts';
import { type NatsGroupKit, natsGroup, untilEntries } from './kit.ts';

const skip = await natsOrSkip();
const ordered: Partial<ConsumerOptions> = { ordering: 'PerConnection', partitions: 4, takeoverMs: 2000 };

test('lanes are shared evenly, each by one replica, and few change hands when one comes or goes', () => {
  for (const lanes of [1, 4, 16, 64]) {
    for (let count = 1; count <= 9; count++) {
      const replicas = Array.from({ length: count }, (_, i) => `replica-${i * 7}`);
      const shares = replicas.map((one) => lanesOf(one, replicas.toSorted(), lanes));
      const all = shares.flatMap((share) => [...share]).sort((a, b) => a - b);
      assert.deepEqual(
        all,
        Array.from({ length: lanes }, (_, i) => i),
      );
      for (const { size } of shares) assert.ok(size === Math.floor(lanes / count) || size === Math.ceil(lanes / count));
      const joined = [...replicas, `replica-${count * 7}`];
      const kept = replicas.map(
        (one, i) => [...lanesOf(one, joined, lanes)].filter((lane) => shares[i]?.has(lane)).length,
      );
      const moved = lanes - kept.reduce((sum, one) => sum + one, 0);
      assert.ok(lanes < 16 || moved <= lanes / 2, `${moved} of ${lanes} lanes move from ${count} replicas`);
    }
  }
});

test('an owner that was lost counts as an attempt of the first message of a connection alone', () => {
  const inheritance = new Inheritance({ attempts: new Map([['5', 2]]), left: new Map() }, [10, 20]);
  assert.equal(inheritance.attemptOf(5, undefined, 'a'), 5);
  assert.equal(inheritance.attemptOf(6, undefined, 'a'), 1);
  assert.equal(inheritance.attemptOf(12, undefined, 'b'), 2);
  assert.equal(inheritance.attemptOf(21, undefined, 'c'), 1);
});

test('what an owner said of messages that have not arrived at the next one, the one after it learns as well', () => {
  const record = {
    attempts: new Map([
      ['5.1', 2],
      ['7', 1],
      ['8.3', 4],
    ]),
    left: new Map([
      [5, [1]],
      [8, [3, 4]],
    ]),
  };
  const inheritance = new Inheritance(record, []);
  assert.deepEqual(inheritance.leftOf(5), new Set([1]));
  assert.equal(inheritance.attemptOf(5, 1, 'a'), 3);
  assert.equal(inheritance.leftOf(7), undefined);
  assert.deepEqual(inheritance.rest, { attempts: new Map([['8.3', 4]]), left: new Map([[8, [3, 4]]]) });
});

test('what a replica says of its lanes is read as it was written, and nothing else is', () => {
  const attempts = new Map([
    ['7', 2],
    ['10.255', 1],
  ]);
  const left = new Map([[10, [3, 255]]]);
  const lanes = new Map([['chat_l0of4_t3', { isReleased: true, attempts, left, ended: [8, 9] }]]);
  const record = { leaseMs: 5000, beat: 3, isLeaving: false, lanes };
  assert.deepEqual(parseRecord(encodeRecord(record)), record);
  for (const one of ['', '1', '{}', '{"leaseMs":1,"beat":1,"isLeaving":false,"lanes":1}']) {
    assert.equal(parseRecord(Buffer.from(one)), undefined);
  }
});

describe('lanes on nats', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  async function startCore(group: NatsGroupKit): Promise<NatsCore> {
    const core = createCore(group.options);
    core.link.start();
    await eventually(() => core.link.isUp);
    return core;
  }

  async function currentSet({ requests, subjects }: NatsCore): Promise<LaneSet> {
    return setsOf('chat', await listConsumers(requests, subjects.stream)).findLast(isComplete) ?? assert.fail();
  }

  function claimsOf({ tops }: LaneSet): Claim[] {
    return tops.map((top, lane) => ({ lane, top: top ?? assert.fail(), isLost: true, record: undefined }));
  }

  test('of two replicas that take the same lanes at the same time, one gets each', async () => {
    await using group = natsGroup(server);
    await (await collect(await group.started(), ordered)).consumption.stop();
    const cores = [await startCore(group), await startCore(group)];
    const claims = claimsOf(await currentSet(cores[0] ?? assert.fail()));
    const takes = await Promise.all(cores.map((core, i) => takeLanes(core, 'chat', `owner-${i}`, claims)));
    assert.deepEqual(
      takes
        .flat()
        .map(({ lane }) => lane)
        .sort(),
      [0, 1, 2, 3],
    );
    assert.equal((await group.consumerNames()).length, 4);
    await Promise.all(cores.map(({ link }) => link.stop()));
  });

  test('a replica that comes too late with a take that others have replaced gets nothing', async () => {
    await using group = natsGroup(server);
    await (await collect(await group.started(), ordered)).consumption.stop();
    const core = await startCore(group);
    const old = claimsOf(await currentSet(core));
    await takeLanes(core, 'chat', 'second', old);
    await takeLanes(core, 'chat', 'third', claimsOf(await currentSet(core)));
    const names = await group.consumerNames();
    assert.deepEqual(await takeLanes(core, 'chat', 'late', old), []);
    assert.deepEqual(await group.consumerNames(), names);
    await core.link.stop();
  });

  test('an owner that is cut off begins nothing once its lanes may be taken, and its late end counts for nothing', async () => {
    await using group = natsGroup(server);
    await using proxy = await startTcpProxy(server.port);
    const [cutOff, living] = [
      await group.started({ servers: [`nats://127.0.0.1:${proxy.port}`] }),
      await group.started(),
    ];
    const old = await collect(cutOff, ordered);
    await eventually(() => living.messages.isConsumed('/chat'));
    for (const body of ['1', '2', '3']) await living.messages.publish(message({ payload: Buffer.from(body) }));
    await eventually(() => old.deliveries.length === 3);
    const [first, second] = [old.deliveries[0] ?? assert.fail(), old.deliveries[1] ?? assert.fail()];
    assert.ok(first.begin());
    proxy.swallow(true);
    const next = await collect(living, ordered, begin);
    await eventually(() => next.deliveries.length === 3, { timeoutMs: 20_000 });
    assert.deepEqual(next.texts(), ['1', '2', '3']);
    assert.deepEqual(
      next.deliveries.map(({ attempt }) => attempt),
      [2, 1, 1],
    );
    assert.equal(second.begin(), false);
    first.ack();
    proxy.swallow(false);
    await eventually(() => cutOff.status === 'up');
    for (const one of next.deliveries) one.ack();
    await eventually(async () => assert.deepEqual(await next.consumption.lag(), { pending: 0, unacknowledged: 0 }));
    await eventually(() => old.consumption.lanes === 2 && next.consumption.lanes === 2, { timeoutMs: 20_000 });
    await holds(() => old.deliveries.length === 3, 200);
  });
});

describe('a consumption in lanes', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('goes on without a repetition when its connection is cut', async () => {
    await using group = natsGroup(server);
    await using proxy = await startTcpProxy(server.port);
    const bus = await group.started({ servers: [`nats://127.0.0.1:${proxy.port}`], reconnectJitterMs: 0 });
    const publisher = await group.started();
    const got = await collect(bus, { ...ordered, takeoverMs: 20_000 }, (one) => {
      if (one.begin() && text(one.payload) !== 'open') one.ack();
    });
    await eventually(() => publisher.messages.isConsumed('/chat'));
    await publisher.messages.publish(message({ connectionId: 'gw-open', payload: Buffer.from('open') }));
    const open = await got.delivery('open');
    for (let round = 0; round < 3; round++) {
      const sent = Array.from({ length: 50 }, (_, i) =>
        message({ connectionId: `gw-${i}`, payload: Buffer.from(`${round}`) }),
      );
      const published = Promise.all(sent.map((one) => publisher.messages.publish(one)));
      proxy.cut();
      await published;
      await eventually(() => got.deliveries.length === 1 + (round + 1) * 50, { timeoutMs: 20_000 });
    }
    open.ack();
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 }));
    assert.equal(got.deliveries.length, 151);
  });

  test('an entry goes on at the next owner with what is left of it, and with the attempts of each message', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const options = { ...ordered, partitions: 1 };
    const old = await collect(bus, options, (one) => {
      if (text(one.payload) === 'probe' && one.begin()) one.ack();
    });
    await untilEntries(bus);
    const all = Array.from({ length: 99 }, (_, i) => `gw-${i}`).filter((one) => laneOfConnection(one) === 0);
    const [a = '', b = '', c = '', d = ''] = all;
    const sent = [a, b, c, d].map((connectionId) =>
      bus.messages.publish(message({ connectionId, payload: Buffer.from(connectionId) })),
    );
    assert.equal(new Set(await Promise.all(sent)).size, 1, 'they are one entry');
    const [done, failed, begun] = await Promise.all([a, b, c].map((one) => old.delivery(one)));
    for (const one of [done, failed, begun]) assert.equal(one?.begin(), true);
    done?.ack();
    failed?.rest(2);
    const stopped = old.consumption.stop();
    begun?.ack();
    await stopped;
    const next = await collect(await group.started(), options, ackAtOnce);
    await eventually(() => next.texts().length === 2);
    assert.deepEqual(
      next.deliveries.map(({ attempt, payload }) => `${text(payload)} ${attempt}`),
      [`${b} 3`, `${d} 1`],
    );
    await eventually(async () => assert.deepEqual(await next.consumption.lag(), { pending: 0, unacknowledged: 0 }));
  });

  test('gives up what it lost with its lease when the lanes belong to another one by then', async () => {
    await using group = natsGroup(server);
    await using proxy = await startTcpProxy(server.port);
    const bus = await group.started({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    const options = { processor: 'chat', endpoints: undefined, ackTimeoutMs: 5000, maxInFlight: 64, partitions: 4 };
    const old = bus.messages.consume({ ...options, ordering: 'PerConnection', takeoverMs: 4000 }, ackAtOnce, () => {}, {
      onLeaseLost: () => proxy.swallow(false),
    });
    await eventually(() => old.lanes === 4);
    proxy.swallow(true);
    const other = await group.started();
    const next = await collect(other, { ...ordered, takeoverMs: 4000 }, ackAtOnce);
    await eventually(() => old.lanes === 2 && next.consumption.lanes === 2, { timeoutMs: 20_000 });
  });

  test('gets a message that is larger than one request may bring, and those around it', async () => {
    await using group = natsGroup(server, {
      stream: { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 64 * 1024 * 1024 },
    });
    const bus = await group.started();
    const got = await collect(bus, { ...ordered, partitions: 64 }, begin);
    const sizes = [10, 900_000, 10, 900_000, 900_000, 10];
    await Promise.all(sizes.map((size) => bus.messages.publish(message({ payload: Buffer.alloc(size) }))));
    await eventually(() => got.deliveries.length === sizes.length);
    assert.deepEqual(
      got.deliveries.map(({ payload }) => payload.byteLength),
      sizes,
    );
  });
});

function ackAtOnce(delivery: Delivery): void {
  if (delivery.begin()) delivery.ack();
}

function begin(delivery: Delivery): void {
  delivery.begin();
}
