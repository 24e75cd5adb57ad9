import { randomUUID } from 'node:crypto';
import { after } from 'node:test';
import { createNatsBus } from '../../../../runtime/bus/nats/nats.ts';
import type { Bus } from '../../../../runtime/bus/port/bus.ts';
import { busContract } from '../../../contract/bus/suite.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';

const skip = await natsOrSkip();
const server = skip === false ? await startNats() : undefined;
after(async () => server?.[Symbol.asyncDispose]());

busContract(
  'nats',
  async ({ leaseMs = 5000, publishLimits, maxStoredBytes = 16 * 1024 * 1024 } = {}) => {
    if (server === undefined) throw new Error('skipped without a server');
    await server.start();
    const group = `test_${randomUUID()}`;
    const buses: Bus[] = [];
    return {
      bus: () => {
        const bus = createNatsBus({
          group,
          servers: [server.url],
          clientName: 'contract',
          stream: { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: maxStoredBytes },
          deadLetter: { maxAgeMs: 3_600_000, maxBytes: 16 * 1024 * 1024 },
          leaseMs,
          ...(publishLimits === undefined ? {} : { publishLimits }),
        });
        buses.push(bus);
        return bus;
      },
      setDown: async (isDown) => (isDown ? server.stop() : server.start()),
      [Symbol.asyncDispose]: async () => {
        await Promise.all(buses.map((bus) => bus.stop()));
      },
    };
  },
  skip,
);
