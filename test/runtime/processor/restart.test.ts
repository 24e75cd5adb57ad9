/** Restarts of a worker on a real NATS server. */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import { Worker } from '../../../runtime/processor/worker.ts';
import type { DeliveryFacts, WorkerEvents } from '../../../runtime/role/events.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';
import { natsGroup } from '../bus/nats/kit.ts';
import { clientMessageOf, resourceOf } from './kit.ts';

const skip = await natsOrSkip();
const total = 1_500;

describe('restarts of a worker', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('burn no attempt of what it had taken and not started', async () => {
    await using group = natsGroup(server);
    await using destination = await startDestination(async () => {
      await delay(10);
      return undefined;
    });
    const consumed: DeliveryFacts[] = [];
    const start = (bus: Bus): Worker => {
      const worker = new Worker(resourceOf(destination.url, { delivery: { maxInFlight: 8 } }), {
        bus,
        resolveHeaders: () => [],
        push: async () => 'sent',
        events: { ...ignored, consumed: (facts) => consumed.push(facts) },
      });
      worker.start();
      return worker;
    };
    let worker = start(await group.started());
    await using _ = { [Symbol.asyncDispose]: () => worker.stop({ graceMs: 0 }) };
    const publisher = await group.started();
    await eventually(() => publisher.messages.isConsumed('/chat'));
    const messages = Array.from({ length: total }, (_, n) => clientMessageOf(`m-${n}`, `a-${n % 100}`, `${n}`));
    const published = Promise.all(messages.map((message) => publisher.messages.publish(message)));
    for (let restart = 1; restart <= 4; restart++) {
      const before = consumed.length;
      await eventually(() => consumed.length > before + 50);
      await worker.stop({ graceMs: 10_000 });
      worker = start(await group.started());
    }
    await published;
    await eventually(() => consumed.length === total, { timeoutMs: 30_000 });
    assert.equal(destination.requests.length, total);
    assert.deepEqual(new Set(consumed.map(({ attempt }) => attempt)), new Set([1]));
  });
});

const ignored: WorkerEvents = {
  consumed: () => {},
  retried: () => {},
  deadLettered: () => {},
  dropped: () => {},
  replied: () => {},
  circuitChanged: () => {},
  tookOver: () => {},
  lanesLost: () => {},
  busProblem: () => {},
};
