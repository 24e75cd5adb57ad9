import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { headers } from 'nats';
import type { Delivery } from '../../../../runtime/bus/port/messages.ts';
import { ack, collect, message, text } from '../../../contract/bus/kit.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { startTcpProxy } from '../../../kit/tcp-proxy.ts';
import { natsGroup, untilEntries } from './kit.ts';

const skip = await natsOrSkip();

function isReal(delivery: Delivery): boolean {
  return text(delivery.payload) !== 'probe';
}

describe('entries of several messages', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('hold what one connection publishes while its last entry is under way, in order', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, { maxInFlight: 4096 }, ack);
    await untilEntries(bus);
    const sent = Array.from({ length: 1000 }, (_, i) => `${i}`);
    const stored = sent.map((payload) => bus.messages.publish(message({ payload: Buffer.from(payload) })));
    const positions = new Set(await Promise.all(stored));
    assert.ok(positions.size <= 8, `${positions.size} entries`);
    await eventually(() => got.deliveries.filter(isReal).length === 1000);
    assert.deepEqual(
      got.deliveries.filter(isReal).map(({ payload }) => text(payload)),
      sent,
    );
  });

  test('share an entry among the connections of a lane, and keep each in order', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, { maxInFlight: 4096 }, ack);
    await untilEntries(bus);
    const connections = Array.from({ length: 100 }, (_, i) => `gw-1-${i}`);
    const stored = Array.from({ length: 10 }, (_, n) =>
      connections.map((connectionId) => bus.messages.publish(message({ connectionId, payload: Buffer.from(`${n}`) }))),
    );
    const positions = new Set(await Promise.all(stored.flat()));
    assert.ok(positions.size <= 32, `${positions.size} entries`);
    await eventually(() => got.deliveries.filter(isReal).length === 1000);
    for (const connectionId of connections) {
      const texts = got.deliveries.filter((one) => isReal(one) && one.connectionId === connectionId);
      assert.deepEqual(
        texts.map(({ payload }) => text(payload)),
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
      );
    }
  });

  test('are acknowledged once each of their messages has ended, and repeat nothing that has', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, { ackTimeoutMs: 1000 }, (delivery) => {
      if (!isReal(delivery)) delivery.ack();
    });
    await untilEntries(bus);
    await Promise.all(['a', 'b', 'c'].map((one) => bus.messages.publish(message({ payload: Buffer.from(one) }))));
    const [a, b, c] = [await got.delivery('a'), await got.delivery('b'), await got.delivery('c')];
    assert.equal(new Set([a.source, b.source, c.source]).size, 3);
    a.ack();
    b.nak(100);
    const again = await got.delivery('b', 2);
    again.ack();
    await holds(() => {
      c.working();
      return got.deliveries.filter(isReal).length === 4;
    }, 1500);
    assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 1 });
    c.term('not wanted');
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 }));
    assert.equal(got.deliveries.filter(isReal).length, 4);
  });
});

describe('entries when something fails', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('come again as a whole when their process dies in the middle of them', async () => {
    await using group = natsGroup(server);
    const [dying, living] = [await group.started(), await group.started()];
    let ended = 0;
    const first = await collect(dying, { ackTimeoutMs: 1000, maxInFlight: 8 }, (delivery) => {
      if (!isReal(delivery) || ended++ < 3) delivery.ack();
    });
    await untilEntries(living);
    const sent = Array.from({ length: 20 }, (_, i) => `${i}`);
    await Promise.all(sent.map((one) => living.messages.publish(message({ payload: Buffer.from(one) }))));
    await eventually(() => first.deliveries.filter(isReal).length >= 8);
    await dying.stop();
    const second = await collect(living, { ackTimeoutMs: 1000 }, ack);
    const all = (): Set<string> =>
      new Set([...first.deliveries.slice(0, 3), ...second.deliveries].map((one) => text(one.payload)));
    await eventually(() => sent.every((one) => all().has(one)));
  });

  test('are not lost or repeated when the connection is cut before their acknowledgement arrives', async () => {
    await using group = natsGroup(server);
    await using proxy = await startTcpProxy(server.port);
    const bus = await group.started();
    const got = await collect(bus, { maxInFlight: 4096 }, ack);
    const publisher = await group.started({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    await untilEntries(publisher);
    const sent = Array.from({ length: 2000 }, (_, i) => message({ connectionId: `gw-1-${i % 40}` }));
    const stored: Promise<number>[] = [];
    for (const [index, one] of sent.entries()) {
      stored.push(publisher.messages.publish(one));
      if (index % 500 === 250) {
        await eventually(() => publisher.status === 'up');
        proxy.cut();
      }
      if (index % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(stored);
    await eventually(() => got.deliveries.filter(isReal).length >= sent.length);
    await holds(() => got.deliveries.filter(isReal).length === sent.length, 300);
    assert.equal(new Set(got.deliveries.filter(isReal).map(({ id }) => id)).size, sent.length);
  });
});

describe('entries when the stream is slow, full or strict', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('are not published again and again while acknowledgements are late', async () => {
    await using group = natsGroup(server);
    await using proxy = await startTcpProxy(server.port);
    const bus = await group.started();
    const got = await collect(bus, { maxInFlight: 4096 }, ack);
    const publisher = await group.started({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    await untilEntries(publisher);
    const published: string[] = [];
    const { connection } = await group.client();
    connection.subscribe(group.subjects.allClientMessages, {
      callback: (_, { headers: block }) => void published.push(block?.get('Nats-Msg-Id') ?? ''),
    });
    await connection.flush();
    // Longer than an acknowledgement is waited for at first.
    proxy.slow(6000);
    const sent: Promise<number>[] = [];
    for (let n = 0; n < 600; n++) {
      sent.push(publisher.messages.publish(message({ connectionId: `gw-1-${n % 40}` })));
      if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(sent);
    await eventually(() => got.deliveries.filter(isReal).length >= 600);
    const again = published.length - new Set(published).size;
    assert.ok(again <= 4, `${again} of ${published.length} were published again`);
    assert.equal(got.deliveries.filter(isReal).length, 600);
  });

  test('keep the order of each connection while the stream refuses some of them', async () => {
    const stream = { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 64 * 1024 } as const;
    await using group = natsGroup(server, { stream });
    const bus = await group.started();
    const last = new Map<string, number>();
    let consumed = 0;
    await collect(bus, { maxInFlight: 4 }, (delivery) => {
      // The next one is handed out after this call.
      delivery.ack();
      if (!isReal(delivery)) return;
      const number = Number(text(delivery.payload).split(' ')[0]);
      assert.equal(number, (last.get(delivery.connectionId) ?? 0) + 1);
      last.set(delivery.connectionId, number);
      consumed++;
    });
    await untilEntries(bus);
    let presses = 0;
    bus.messages.onPressure((isPressed) => {
      if (isPressed) presses++;
    });
    const sent: Promise<number>[] = [];
    for (let number = 1; number <= 100; number++) {
      for (const connectionId of ['a-1', 'b-2', 'c-3', 'd-4', 'e-5']) {
        const payload = Buffer.from(`${number} ${'x'.repeat((number * 977) % 6000)}`);
        sent.push(bus.messages.publish(message({ connectionId, payload })));
      }
    }
    await Promise.all(sent);
    await eventually(() => consumed === 500);
    assert.ok(presses > 0, 'the stream was full at times');
  });

  test('are made smaller when the server takes no more than a part of them', async () => {
    await using small = await startNats({ config: 'max_payload: 1048576' });
    await using group = natsGroup(small);
    const bus = await group.started();
    const got = await collect(bus, { maxInFlight: 4096 }, ack);
    await untilEntries(bus);
    // The stream takes less than the server: what is known is too large, and each message fits.
    const { manager } = await group.client();
    const { config } = await manager.streams.info(group.subjects.stream);
    await manager.streams.update(group.subjects.stream, { ...config, max_msg_size: 8192 });
    const sent = Array.from({ length: 64 }, () => message({ payload: Buffer.alloc(2000) }));
    const large = message({ payload: Buffer.alloc(9000) });
    const outcomes = await Promise.allSettled([...sent, large].map((one) => bus.messages.publish(one)));
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      [...sent.map(() => 'fulfilled'), 'rejected'],
    );
    await eventually(() => new Set(got.deliveries.filter(isReal).map(({ id }) => id)).size === 64);
    assert.equal(bus.messages.isPressed, false);
  });

  test('that no gateway wrote are reported and not delivered', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, {}, ack);
    const { connection } = await group.client();
    const block = headers();
    block.set('hydrogen-entry', '1 2');
    const subject = group.subjects.entry('/chat', 3, undefined);
    await connection.jetstream().publish(subject, Buffer.alloc(100, 0xff), { headers: block, msgID: randomUUID() });
    await eventually(() => got.problems.some(({ code }) => code === 'HYD_MESSAGE_UNREADABLE'));
    assert.equal(got.deliveries.length, 0);
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 }));
  });
});

describe('when a gateway writes entries', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('only to endpoints of which every processor reads them', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    await collect(bus, { processor: 'plain' }, ack);
    await untilEntries(bus);
    const ordered = { processor: 'ordered', ordering: 'PerConnection', partitions: 4, endpoints: ['/chat'] } as const;
    await collect(bus, ordered, ack);
    await eventually(async () => (await bus.messages.publish(message())) === 0);
    await untilEntries(bus, '/feed');
  });

  test('single messages once the last reader has left, and none of its entries is left unread', async () => {
    await using group = natsGroup(server);
    const [gateway, processor] = [await group.started(), await group.started()];
    const lease = gateway.leases.hold('gw-1', () => {});
    await eventually(() => lease.isHeld);
    const got = await collect(processor, { maxInFlight: 1 }, (delivery) => {
      if (!isReal(delivery)) delivery.ack();
    });
    await untilEntries(gateway);
    const sent = Array.from({ length: 50 }, (_, i) => message({ connectionId: `gw-1-${i}` }));
    await Promise.all(sent.map((one) => gateway.messages.publish(one)));
    await eventually(() => got.deliveries.some(isReal));
    const givenBack = new Set(got.deliveries.filter(isReal).map(({ id }) => id));
    await got.consumption.stop(async (delivery) => {
      givenBack.add(delivery.id);
      delivery.ack();
    }, true);
    assert.equal(await gateway.messages.publish(message()), 0);
    assert.equal(givenBack.size, 50);
  });

  test('whatever an earlier release lets the consumer of single messages cover', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, {}, ack);
    await untilEntries(bus);
    const { manager } = await group.client();
    const { stream, allClientMessages } = group.subjects;
    await manager.consumers.update(stream, 'chat', { filter_subjects: [allClientMessages] });
    const before = got.deliveries.length;
    for (let n = 0; n < 20; n++) await bus.messages.publish(message());
    await eventually(async () => (await manager.consumers.info(stream, 'chat')).delivered.consumer_seq >= 20);
    await eventually(() => got.deliveries.length >= before + 20);
    await eventually(async () => assert.equal((await manager.streams.info(stream)).state.messages, 0));
    assert.equal(got.deliveries.length, before + 20);
    assert.deepEqual(got.problems, []);
    // A replica that connects again corrects it, and leaves nothing behind that nobody acknowledges any more.
    await got.consumption.stop();
    for (let n = 0; n < 20; n++) await bus.messages.publish(message());
    const next = await collect(await group.started(), {}, ack);
    await eventually(() => next.deliveries.length === 20);
    const { config } = await manager.consumers.info(stream, 'chat');
    assert.deepEqual(config.filter_subjects ?? [config.filter_subject], [`hydrogen.${group.options.group}.c2s.*.*.*`]);
    await eventually(async () => assert.equal((await manager.streams.info(stream)).state.messages, 0));
  });

  test('again when another replica reads', async () => {
    await using group = natsGroup(server);
    const [gateway, one, other] = [await group.started(), await group.started(), await group.started()];
    const first = await collect(one, {}, ack);
    await untilEntries(gateway);
    const second = await collect(other, {}, ack);
    await first.consumption.stop(undefined, true);
    await untilEntries(gateway);
    await second.consumption.stop(undefined, true);
    await collect(one, {}, ack);
    await untilEntries(gateway);
  });
});
