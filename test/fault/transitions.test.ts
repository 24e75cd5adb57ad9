/** Consumers of a processor change on a cluster of three servers, of which one does not answer or is killed. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConsumerOptions, Delivery } from '../../runtime/bus/port/messages.ts';
import { collect, message, text } from '../contract/bus/kit.ts';
import { eventually } from '../kit/eventually.ts';
import { natsOrSkip } from '../kit/nats.ts';
import { startNatsCluster } from '../kit/nats-cluster.ts';
import { natsGroup } from '../runtime/bus/nats/kit.ts';

const skip = await natsOrSkip();
const connections = 200;
const ordered = (partitions: number): Partial<ConsumerOptions> => ({ ordering: 'PerConnection', partitions });
const unordered: Partial<ConsumerOptions> = { ordering: 'Unordered' };

describe('a change of consumers on a cluster', { skip }, () => {
  for (const [signal, changes] of [
    ['SIGSTOP', [ordered(16), ordered(4)]],
    ['SIGKILL', [unordered, ordered(8), unordered]],
  ] as const) {
    test(`loses no backlog while a server has got ${signal}`, async () => {
      await using cluster = await startNatsCluster(3);
      const [node, ...others] = cluster.nodes;
      if (node === undefined) throw new Error('no node');
      const stream = { storage: 'File', replicas: 3, maxAgeMs: 3_600_000, maxBytes: 64 * 1024 * 1024 } as const;
      await using group = natsGroup(node, { stream, servers: others.map(({ url }) => url) });
      const [bus, next] = [await group.started(), await group.started()];
      const first = await collectOn(bus, changes[0]);
      await eventually(() => bus.messages.isConsumed('/chat'), { timeoutMs: 30_000 });
      // A backlog: nobody consumes.
      await first.consumption.stop();
      const sent = Array.from({ length: 1000 }, (_, i) => `m${i}`);
      await Promise.all(
        sent.map((name, i) =>
          bus.messages.publish(message({ connectionId: `gw-1-${i % connections}`, payload: Buffer.from(name) })),
        ),
      );
      const pid = node.pid ?? assert.fail('it runs');
      process.kill(pid, signal);
      const seen = new Set<string>(first.deliveries.map(({ payload }) => text(payload)));
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
