import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createNatsGroup } from '../../../../runtime/bus/nats/group.ts';
import type { Bus } from '../../../../runtime/bus/port/bus.ts';
import { ack, collect, message, text } from '../../../contract/bus/kit.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { natsGroup } from './kit.ts';

const skip = await natsOrSkip();

/** A client that keeps sending to an endpoint, as fast as the bus stores it. */
function keepSending(bus: Bus, endpoint: string): { readonly stored: string[]; stop(): void } {
  const stored: string[] = [];
  let isOver = false;
  const send = async (lane: number): Promise<void> => {
    for (let i = 0; !isOver; i++) {
      const name = `${lane}-${i}`;
      await bus.messages.publish(
        message({ endpoint, connectionId: `gw-1-${lane}${i % 50}`, payload: Buffer.from(name) }),
      );
      stored.push(name);
      await delay(1);
    }
  };
  for (let lane = 0; lane < 4; lane++) send(lane).catch(() => {});
  return {
    stored,
    stop: () => {
      isOver = true;
    },
  };
}

describe('interest in an endpoint', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('ends at once when consumers are deleted, and what is published then waits for new ones', async () => {
    await using group = natsGroup(server);
    const [bus, next] = [await group.started(), await group.started()];
    const ordered = { ordering: 'PerConnection', partitions: 64 } as const;
    const old = await collect(next, ordered, ack);
    await eventually(() => bus.messages.isConsumed('/chat'));
    await old.consumption.stop();
    const { manager } = await group.client();
    const names = (await group.consumerNames()).filter((name) => /_l(3|17|40)of64/.test(name));
    assert.equal(names.length, 3);
    await Promise.all(names.map((name) => manager.consumers.delete(group.subjects.stream, name)));
    await eventually(() => !bus.messages.isConsumed('/chat'), { timeoutMs: 40, everyMs: 1 });
    let stored = 0;
    const sent = Array.from({ length: 300 }, (_, i) => message({ connectionId: `gw-1-${i}` }));
    for (const one of sent) void bus.messages.publish(one).then(() => stored++);
    await holds(() => stored === 0, 200);
    const got = await collect(next, ordered, ack);
    await eventually(() => new Set(got.deliveries.map(({ id }) => id)).size === sent.length);
    assert.equal(stored, sent.length);
  });

  test('ends before the consumers of a deleted processor do', async () => {
    await using group = natsGroup(server);
    const [bus, next] = [await group.started(), await group.started()];
    const lease = bus.leases.hold('gw-1', () => {});
    await eventually(() => lease.isHeld);
    await (await collect(next, { ordering: 'PerConnection', partitions: 8 }, ack)).consumption.stop();
    await eventually(() => bus.messages.isConsumed('/chat'));
    const client = keepSending(bus, '/chat');
    await eventually(() => client.stored.length > 200);
    const { connection } = await group.client();
    let storedAtDeletion: number | undefined;
    connection.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.DELETED.${group.subjects.stream}.*`, {
      callback: () => {
        storedAtDeletion ??= client.stored.length;
      },
    });
    await connection.flush();
    const admin = createNatsGroup(group.options);
    admin.start();
    await eventually(() => admin.status === 'up');
    assert.equal(await admin.deleteConsumers('chat'), 8);
    await eventually(() => storedAtDeletion !== undefined);
    await holds(() => client.stored.length === storedAtDeletion, 300);
    assert.equal(bus.messages.isConsumed('/chat'), false);
    const got = await collect(next, {}, ack);
    await eventually(() => got.deliveries.length > 100);
    client.stop();
    await admin.stop();
  });

  test('ends before a filter is narrowed, and everything that was published is delivered first', async () => {
    await using group = natsGroup(server);
    const [bus, next] = [await group.started(), await group.started()];
    const lease = bus.leases.hold('gw-1', () => {});
    await eventually(() => lease.isHeld);
    const delivered = new Set<string>();
    const take = (delivery: { readonly payload: Uint8Array; ack(): void }): void => {
      delivered.add(text(delivery.payload));
      setTimeout(() => delivery.ack(), 5);
    };
    const wide = await collect(next, { endpoints: ['/chat', '/feed'] }, take);
    await eventually(() => bus.messages.isConsumed('/feed'));
    const client = keepSending(bus, '/feed');
    await eventually(() => client.stored.length > 200);
    await wide.consumption.stop();
    await collect(next, { endpoints: ['/chat'] }, take);
    await eventually(async () => {
      const { manager } = await group.client();
      const { config } = await manager.consumers.info(group.subjects.stream, 'chat');
      return !JSON.stringify(config).includes('feed');
    });
    const { length } = client.stored;
    await holds(() => client.stored.length === length, 300);
    assert.deepEqual([bus.messages.isConsumed('/feed'), bus.messages.isConsumed('/chat')], [false, true]);
    await eventually(() => client.stored.every((one) => delivered.has(one)));
    client.stop();
  });

  test('begins again at once when a filter is widened in place', async () => {
    await using group = natsGroup(server);
    const [bus, next] = [await group.started(), await group.started()];
    const first = await collect(next, { endpoints: ['/chat'] }, ack);
    await eventually(() => bus.messages.isConsumed('/chat'));
    await first.consumption.stop();
    await collect(next, { endpoints: ['/chat', '/feed'] }, ack);
    await eventually(() => bus.messages.isConsumed('/feed'), { timeoutMs: 1000 });
  });
});

test('nothing is stored in a stream that was made again, until its consumers are', { skip }, async () => {
  await using server = await startNats();
  const stream = { storage: 'Memory', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 16 * 1024 * 1024 } as const;
  await using group = natsGroup(server, { stream });
  const [bus, next, other] = [await group.started(), await group.started(), await group.started()];
  const old = await collect(next, {}, ack);
  await eventually(() => bus.messages.isConsumed('/chat'));
  await old.consumption.stop();
  await server.stop();
  await eventually(() => bus.status === 'down');
  let stored = 0;
  const sent = Array.from({ length: 50 }, (_, i) => message({ connectionId: `gw-1-${i}` }));
  for (const one of sent) void bus.messages.publish(one).then(() => stored++);
  await server.start();
  // Somebody else makes the stream.
  await collect(other, { processor: 'feed', endpoints: ['/feed'] });
  await eventually(() => bus.status === 'up' && bus.messages.isConsumed('/feed'));
  assert.equal(bus.messages.isConsumed('/chat'), false);
  await holds(() => stored === 0, 200);
  const got = await collect(next, {}, ack);
  await eventually(() => new Set(got.deliveries.map(({ id }) => id)).size === sent.length);
});

test('nothing is stored in a stream that was deleted and made again on one connection', { skip }, async () => {
  await using server = await startNats();
  await using group = natsGroup(server);
  const [bus, next, other] = [await group.started(), await group.started(), await group.started()];
  const old = await collect(next, {}, ack);
  await eventually(() => bus.messages.isConsumed('/chat'));
  await old.consumption.stop();
  const { manager } = await group.client();
  await manager.streams.delete(group.subjects.stream);
  await eventually(() => !bus.messages.isConsumed('/chat'), { timeoutMs: 40, everyMs: 1 });
  await collect(other, { processor: 'feed', endpoints: ['/feed'] });
  await eventually(() => bus.messages.isConsumed('/feed'));
  const sent = message();
  const stored = bus.messages.publish(sent);
  const got = await collect(next, {}, ack);
  await stored;
  await eventually(() => got.deliveries.some(({ id }) => id === sent.id));
});
