import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Acks } from '../../../../runtime/bus/nats/acks.ts';
import { NatsConsumption } from '../../../../runtime/bus/nats/consumption.ts';
import { createCore } from '../../../../runtime/bus/nats/core.ts';
import { ProcessorSource } from '../../../../runtime/bus/nats/processor-source.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { replaced } from '../../../kit/replaced.ts';
import { natsGroup } from './kit.ts';

const skip = await natsOrSkip();

describe('consumption on nats', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('subscribes to nothing when it is stopped while its consumer is being created', async () => {
    await using group = natsGroup(server);
    const core = createCore(group.options);
    const { link: real } = core;
    const live = new Set<string>();
    const link = replaced(real, {
      subscribe: (subject, listener) => {
        live.add(subject);
        const subscribed = real.subscribe(subject, listener);
        return {
          ...subscribed,
          drain: () => {
            live.delete(subject);
            return subscribed.drain();
          },
        };
      },
    });
    real.start();
    try {
      await eventually(() => real.isUp);
      const consumption = new NatsConsumption(
        { ...core, link },
        new Acks(real),
        new ProcessorSource(core, {
          processor: 'chat',
          endpoints: undefined,
          ackTimeoutMs: 5000,
          maxInFlight: 8,
          ordering: 'Unordered',
          partitions: 1,
        }),
        { ackTimeoutMs: 5000, maxOpen: 8 },
        `${real.inbox}.c`,
        { onDelivery: () => {}, onProblem: () => {}, onReadiness: () => {}, onStopped: () => {} },
      );
      await consumption.stop();
      await eventually(async () => (await group.consumerNames()).includes('chat'));
      await holds(() => live.size === 0, 200);
    } finally {
      await real.stop();
    }
  });

  test('has an unknown lag until it has found its consumer', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const options = { processor: 'chat', endpoints: undefined, ackTimeoutMs: 5000, maxInFlight: 8, partitions: 1 };
    const consumption = bus.messages.consume(
      { ...options, ordering: 'Unordered' },
      () => {},
      () => {},
    );
    assert.equal(await consumption.lag(), undefined);
    await eventually(async () => assert.deepEqual(await consumption.lag(), { pending: 0, unacknowledged: 0 }));
  });
});
