/** Consumers of a processor change on a cluster of three servers, of which one does not answer or is killed. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { slotOf } from '../../runtime/bus/nats/consumer-sets.ts';
import type { ConsumerOptions, Delivery } from '../../runtime/bus/port/messages.ts';
import { partitionOf } from '../../runtime/bus/subjects.ts';
import { collect, message, text } from '../contract/bus/kit.ts';
import { eventually } from '../kit/eventually.ts';
import { natsOrSkip } from '../kit/nats.ts';
import { startNatsCluster } from '../kit/nats-cluster.ts';
import { natsGroup } from '../runtime/bus/nats/kit.ts';

const skip = await natsOrSkip();
const connections = 200;
const slow = 'gw-1-slow';
const ordered = (partitions: number): Partial<ConsumerOptions> => ({ ordering: 'PerConnection', partitions });
const unordered: Partial<ConsumerOptions> = { ordering: 'Unordered' };

describe('a change of consumers on a cluster', { skip }, () => {
  for (const [signal, changes] of [
    ['SIGSTOP', [ordered(64), ordered(16)]],
    ['SIGKILL', [unordered, ordered(8), unordered]],
  ] as const) {
    test(`loses no backlog while a server has got ${signal}`, async () => {
      await using cluster = await startNatsCluster(3);
      const [first] = cluster.nodes;
      if (first === undefined) throw new Error('no node');
      const stream = { storage: 'File', replicas: 3, maxAgeMs: 3_600_000, maxBytes: 64 * 1024 * 1024 } as const;
      await using group = natsGroup(first, { stream, servers: cluster.nodes.map(({ url }) => url) });
      const bus = await group.started();
      const old = await collectOn(bus, changes[0], (delivery) => {
        if (delivery.connectionId !== slow) delivery.ack();
      });
      await eventually(() => bus.messages.isConsumed('/chat'), { timeoutMs: 30_000 });
      const sent = Array.from({ length: 1000 }, (_, i) => `m${i}`);
      const publish = (name: string, i: number): Promise<number> =>
        bus.messages.publish(
          message({ connectionId: i < 10 ? slow : `gw-1-${i % connections}`, payload: Buffer.from(name) }),
        );
      // The oldest messages stay where they are, and everybody else is far ahead.
      await Promise.all(sent.slice(0, 10).map(publish));
      await Promise.all(sent.slice(10).map((name, i) => publish(name, i + 10)));
      await eventually(() => old.deliveries.length > 900, { timeoutMs: 30_000 });
      await old.consumption.stop();
      // The server that alone can say what the consumer of these has not delivered.
      const lanes = changes[0].partitions ?? 1;
      const slot = lanes === 1 ? 'chat' : `chat_l${partitionOf(slow) % lanes}of${lanes}`;
      const name = (await group.consumerNames()).find((one) => slotOf(one) === slot) ?? assert.fail('no consumer');
      const { cluster: raft } = await cluster.withManager((manager) =>
        manager.consumers.info(group.subjects.stream, name),
      );
      const node = cluster.nodes[Number(raft?.leader?.slice('node-'.length))] ?? assert.fail('no leader');
      const rest = cluster.nodes.filter((one) => one !== node).map(({ url }) => url);
      const next = await group.started({ servers: rest });
      const pid = node.pid ?? assert.fail('it runs');
      process.kill(pid, signal);
      const consumed = old.deliveries.filter(({ connectionId }) => connectionId !== slow);
      const seen = new Set(consumed.map(({ payload }) => text(payload)));
      for (const change of changes.slice(1)) {
        const got = await collectOn(next, change, (delivery) => {
          seen.add(text(delivery.payload));
          delivery.ack();
        });
        if (change !== changes.at(-1)) await got.consumption.stop();
      }
      if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT');
      const lost = (): string[] => sent.filter((one) => !seen.has(one));
      await eventually(() => lost().length === 0, { timeoutMs: 60_000 }).catch(() => {
        assert.equal(lost().length, 0, `${lost().length} of ${sent.length} messages are lost`);
      });
    });
  }
});

/** Like `collect`, with the patience that a cluster without one of its servers needs. */
async function collectOn(
  bus: Parameters<typeof collect>[0],
  options: Partial<ConsumerOptions>,
  onDelivery: (delivery: Delivery) => void = () => {},
): Promise<Awaited<ReturnType<typeof collect>>> {
  return collect(bus, { ...options, ackTimeoutMs: 5000, maxInFlight: 256 }, onDelivery, 90_000);
}
