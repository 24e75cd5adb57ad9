import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { slotOf } from '../../../../runtime/bus/nats/consumer-sets.ts';
import { createNatsGroup } from '../../../../runtime/bus/nats/group.ts';
import type { ConsumerOptions, Delivery } from '../../../../runtime/bus/port/messages.ts';
import { ack, collect, message, text } from '../../../contract/bus/kit.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { natsGroup } from './kit.ts';

const skip = await natsOrSkip();
const ordered: Partial<ConsumerOptions> = { ordering: 'PerConnection', partitions: 4 };

describe('nats streams', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('creates the streams with the settings of the group', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    await collect(bus);
    const { manager } = await group.client();
    const { config } = await manager.streams.info(group.subjects.stream);
    assert.deepEqual(
      [config.retention, config.discard, config.storage, config.num_replicas, config.max_age, config.max_bytes],
      ['interest', 'new', 'file', 1, 3.6e12, 16 * 1024 * 1024],
    );
    assert.equal(config.duplicate_window, 120e9);
    const letters = await manager.streams.info(group.subjects.deadLetterStream);
    assert.deepEqual([letters.config.retention, letters.config.discard], ['limits', 'new']);
  });

  test('adapts what can be changed in place, and reports what cannot with both values', async () => {
    await using group = natsGroup(server);
    const first = await group.started();
    await (await collect(first)).consumption.stop();
    const { stream } = group.options;
    const second = await group.started({
      stream: { ...stream, maxBytes: 1024 * 1024, maxAgeMs: 60_000, storage: 'Memory' },
    });
    const got = await collect(second, { ackTimeoutMs: 4321, endpoints: ['/chat'] }, ack);
    const { manager } = await group.client();
    const { config } = await manager.streams.info(group.subjects.stream);
    assert.deepEqual([config.max_bytes, config.max_age, config.storage], [1024 * 1024, 60e9, 'file']);
    const consumer = await manager.consumers.info(group.subjects.stream, 'chat');
    assert.equal(consumer.config.ack_wait, 4321e6);
    await eventually(async () => {
      const { config: narrowed } = await manager.consumers.info(group.subjects.stream, 'chat');
      return /=2Fchat/.test(JSON.stringify(narrowed));
    });
    assert.deepEqual([...new Set(got.problems.map(({ code }) => code))], ['HYD_STREAM_CONFLICT']);
    assert.match(got.problems[0]?.message ?? '', /storage is "file", wanted "memory"/);
    await first.messages.publish(message());
    await got.delivery('hello');
  });

  test('reports that more replicas are wanted than there are servers, and still delivers', async () => {
    await using group = natsGroup(server);
    await (await collect(await group.started())).consumption.stop();
    const bus = await group.started({ stream: { ...group.options.stream, replicas: 3 } });
    const got = await collect(bus, {}, ack);
    assert.match(got.problems[0]?.message ?? '', /num_replicas is 1, wanted/);
    await bus.messages.publish(message());
    await got.delivery('hello');
  });

  test('reports a stream that cannot be created, and delivers once it can', async () => {
    await using group = natsGroup(server);
    const bus = await group.started({ stream: { ...group.options.stream, replicas: 3 } });
    const problems: string[] = [];
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
      (problem) => problems.push(problem.code),
    );
    await eventually(() => problems.length === 1);
    const other = await group.started();
    await collect(other, { processor: 'other' });
    await eventually(() => consumption.isReady);
  });
});

describe('nats consumers', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  for (const [from, to] of [
    [{}, ordered],
    [ordered, {}],
    [ordered, { ordering: 'PerConnection', partitions: 8 }],
  ] as const) {
    test(`loses nothing when consumers change from ${JSON.stringify(from)} to ${JSON.stringify(to)}`, async () => {
      await using group = natsGroup(server);
      const [bus, next] = [await group.started(), await group.started()];
      const seen = new Set<string>();
      const take = (delivery: Delivery): void => {
        seen.add(text(delivery.payload));
        delivery.ack();
      };
      let isHolding = true;
      const old = await collect(bus, { ...from, maxInFlight: 4, ackTimeoutMs: 2000 }, (delivery) => {
        if (!isHolding) take(delivery);
      });
      const names = Array.from({ length: 40 }, (_, i) => `m${i}`);
      await Promise.all(
        names.map((name, i) => bus.messages.publish(message({ connectionId: `gw-${i}`, payload: Buffer.from(name) }))),
      );
      await eventually(() => old.deliveries.length === 4);
      isHolding = false;
      await collect(next, { ...to, ackTimeoutMs: 2000 }, take);
      await eventually(() => seen.size === 40);
      const lanes = 'partitions' in to ? to.partitions : 0;
      const wanted =
        lanes === 0 ? ['chat_g1', 'chat_g1_e'] : Array.from({ length: lanes }, (_, i) => `chat_g1_l${i}of${lanes}`);
      const slots = async (): Promise<string[]> => (await group.consumerNames()).map(slotOf);
      // The consumer of entries that went with the old ones goes once it is empty.
      await eventually(async () => assert.deepEqual(await slots(), wanted));
      // The replica that was already running uses the consumers that it finds.
      await eventually(() => old.consumption.isReady);
      await eventually(async () => assert.deepEqual(await slots(), wanted));
    });
  }

  test('does not redeliver what was acknowledged before the consumers changed', async () => {
    await using group = natsGroup(server);
    const [bus, next] = [await group.started(), await group.started()];
    const slow = await collect(bus, { processor: 'slow' });
    const old = await collect(bus, ordered, ack);
    await Promise.all(Array.from({ length: 20 }, (_, i) => bus.messages.publish(message({ connectionId: `gw-${i}` }))));
    await eventually(() => slow.deliveries.length === 20 && old.deliveries.length === 20);
    await eventually(async () => assert.deepEqual(await old.consumption.lag(), { pending: 0, unacknowledged: 0 }));
    const got = await collect(next, {}, ack);
    await holds(() => got.deliveries.length === 0, 200);
  });

  test('counts an endpoint as consumed only when every partition is', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    await collect(bus, { endpoints: ['/chat'], ...ordered });
    await eventually(() => bus.messages.isConsumed('/chat'));
    const { manager } = await group.client();
    await bus.stop();
    const watcher = await group.started();
    await eventually(() => watcher.messages.isConsumed('/chat'));
    const [last = ''] = (await group.consumerNames()).slice(-1);
    assert.match(last, /^chat_l3of4/);
    await manager.consumers.delete(group.subjects.stream, last);
    await eventually(() => !watcher.messages.isConsumed('/chat'));
  });

  test('reports a message that no gateway wrote and does not deliver it', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, {}, ack);
    const { connection } = await group.client();
    await connection.jetstream().publish(`hydrogen.${group.options.group}.c2s.0.=2Fchat.nobody`, 'hello');
    await eventually(() => got.problems.some(({ code }) => code === 'HYD_MESSAGE_UNREADABLE'));
    assert.equal(got.deliveries.length, 0);
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 }));
  });

  test('lets ordered lanes take turns when there are more of them than deliveries may be open', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const done: string[] = [];
    await collect(bus, { ordering: 'PerConnection', partitions: 64, maxInFlight: 2 }, (delivery) => {
      setImmediate(() => {
        done.push(delivery.connectionId);
        delivery.ack();
      });
    });
    const sent = Array.from({ length: 300 }, (_, i) => message({ connectionId: `gw-${i % 100}` }));
    await Promise.all(sent.map((one) => bus.messages.publish(one)));
    await eventually(() => done.length === 300, { timeoutMs: 20_000 });
    assert.equal(new Set(done).size, 100);
  });
});

describe('nats group of an operator', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('an operator can prepare a group and remove a processor from it', async () => {
    await using group = natsGroup(server);
    const admin = createNatsGroup(group.options);
    await admin.start();
    await eventually(() => admin.status === 'up');
    assert.deepEqual(await admin.ensureStreams(), []);
    await admin.ensureConsumers({
      processor: 'chat',
      endpoints: undefined,
      ackTimeoutMs: 5000,
      maxInFlight: 8,
      ordering: 'PerConnection',
      partitions: 2,
    });
    assert.deepEqual(await group.consumerNames(), ['chat_l0of2', 'chat_l1of2']);
    assert.equal(await admin.deleteConsumers('chat'), 2);
    assert.deepEqual(await group.consumerNames(), []);
    await admin.stop();
  });

  test('an operator without leadership still reads, and changes nothing', async () => {
    await using group = natsGroup(server);
    let mayWrite = false;
    const admin = createNatsGroup({ ...group.options, mayWrite: () => mayWrite });
    await admin.start();
    await eventually(() => admin.status === 'up');
    const consumer = { processor: 'chat', endpoints: undefined, ackTimeoutMs: 5000, maxInFlight: 8 } as const;
    const wanted = { ...consumer, ordering: 'Unordered', partitions: 64 } as const;
    await assert.rejects(admin.ensureStreams(), { code: 'HYD_BUS_UNREACHABLE' });
    const missing = await admin.inspectStreams();
    assert.equal(missing.length, 4);
    for (const one of missing) assert.match(one, /^stream \S+ is missing$/);

    mayWrite = true;
    assert.deepEqual(await admin.ensureStreams(), []);
    assert.deepEqual(await admin.inspectStreams(), []);
    await admin.ensureConsumers(wanted);
    mayWrite = false;
    await assert.rejects(admin.deleteConsumers('chat'), { code: 'HYD_BUS_UNREACHABLE' });
    await assert.rejects(admin.deleteStreams(), { code: 'HYD_BUS_UNREACHABLE' });
    const { consumers, entriesConsumers } = (await admin.lags()).get('chat') ?? {};
    assert.deepEqual([consumers, entriesConsumers], [1, 1]);
    assert.deepEqual(await admin.inspectStreams(), []);
    await admin.stop();
  });
});
