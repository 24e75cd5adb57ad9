import { after, describe, test } from 'node:test';
import { Acks } from '../../../../runtime/bus/nats/acks.ts';
import { Link } from '../../../../runtime/bus/nats/connection.ts';
import { NatsConsumption } from '../../../../runtime/bus/nats/consumption.ts';
import { createRequests } from '../../../../runtime/bus/nats/requests.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { replaced } from '../../../kit/replaced.ts';
import { natsGroup } from './kit.ts';

const skip = await natsOrSkip();

describe('consumption on nats', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('subscribes to nothing when it is stopped while its consumer is created', async () => {
    await using group = natsGroup(server);
    const real = new Link(group.options);
    const live = new Set<string>();
    const link = replaced(real, {
      subscribe: (subject, listener) => {
        live.add(subject);
        const subscribed = real.subscribe(subject, listener);
        return {
          drain: () => {
            live.delete(subject);
            return subscribed.drain();
          },
        };
      },
    });
    const { subjects } = group;
    const { stream, deadLetter } = group.options;
    const deps = { link, requests: createRequests(real), subjects, stream, deadLetter, acks: new Acks(real) };
    real.start();
    try {
      await eventually(() => real.isUp);
      const consumption = new NatsConsumption(
        deps,
        {
          processor: 'chat',
          endpoints: undefined,
          ackTimeoutMs: 5000,
          maxInFlight: 8,
          ordering: 'Unordered',
          partitions: 1,
        },
        `${real.inbox}.c`,
        { onDelivery: () => {}, onProblem: () => {}, onStopped: () => {} },
      );
      await consumption.stop();
      await eventually(async () => (await group.consumerNames()).includes('chat'));
      await holds(() => live.size === 0, 200);
    } finally {
      await real.stop();
    }
  });
});
