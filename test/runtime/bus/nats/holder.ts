/** A process that takes deliveries and never ends one, so that a test can kill it: `node holder.ts URL GROUP`. */

import { createNatsBus } from '../../../../runtime/bus/nats/nats.ts';

const [, , url = '', group = ''] = process.argv;
const bus = createNatsBus({
  group,
  servers: [url],
  clientName: 'holder',
  stream: { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 16 * 1024 * 1024 },
  deadLetter: { maxAgeMs: 3_600_000, maxBytes: 16 * 1024 * 1024 },
  leaseMs: 5000,
});
await bus.start();
bus.messages.consume(
  { processor: 'chat', endpoints: undefined, ackTimeoutMs: 1000, maxInFlight: 8, ordering: 'Unordered', partitions: 1 },
  (delivery) => process.stdout.write(`${delivery.id}\n`),
  (problem) => process.stderr.write(`${problem.message}\n`),
);
