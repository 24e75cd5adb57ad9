import assert from 'node:assert/strict';
import test from 'node:test';
import { createLogger } from '../../../process/logger.ts';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { MessageProcessor } from '../../../runtime/processor/processor.ts';
import { MountedSecrets } from '../../../runtime/role/secrets.ts';
import { startDestination } from '../../kit/destination.ts';
import { parsed, processorDocument } from '../../kit/documents.ts';
import { eventually } from '../../kit/eventually.ts';
import { gatewayConfig } from '../../kit/gateway.ts';

test('reports its work in statistics, metrics, probes and log lines', async () => {
  await using destination = await startDestination((request) => {
    const message = request.json().message;
    if (message === 'bad') return { status: 422 };
    if (message === 'later' && request.headers['hydrogen-attempt'] === '1') return { status: 503 };
    return { body: 'thanks' };
  });
  const document = processorDocument(
    {
      statsIntervalSeconds: 1,
      delivery: { backoffSeconds: [0] },
      routing: {
        unmatched: 'Drop',
        rules: [{ name: 'known', pattern: '^(ok|bad|later)$', destination: { url: destination.url, reply: true } }],
      },
    },
    { name: 'mp', group: 'test' },
  );
  const broker = createMemoryBroker();
  const lines: Record<string, unknown>[] = [];
  const mproc = new MessageProcessor(
    { group: gatewayConfig().group, processor: parsed(document) },
    {
      bus: broker.connect(),
      secrets: new MountedSecrets('/nonexistent', () => {}),
      logger: createLogger({ level: 'debug', destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
      probePort: 0,
      host: '127.0.0.1',
      version: 'test',
    },
  );
  assert.equal(mproc.readiness.reason, 'not running');
  await mproc.start();
  await eventually(() => mproc.readiness.reason === undefined);
  const probes = `http://127.0.0.1:${mproc.probePort}`;
  assert.equal((await fetch(`${probes}/readyz`)).status, 200);

  const publisher = broker.connect();
  await publisher.start();
  for (const [index, message] of ['ok', 'bad', 'later', 'unknown'].entries()) {
    const connectionId = `${'0'.repeat(12)}-${'0'.repeat(31)}${index}`;
    const payload = Buffer.from(JSON.stringify({ message, message_encoding: 'text' }));
    await publisher.messages.publish({
      id: `${connectionId}-1`,
      connectionId,
      endpoint: '/chat',
      callbackUrl: '',
      payload,
    });
  }
  const line = await eventually(
    () => lines.find(({ msg, consumed }) => msg === 'statistics' && consumed === 2) ?? false,
    {
      timeoutMs: 5_000,
    },
  );
  assert.deepEqual([line.retried, line.deadLettered, line.dropped, line.inFlight, line.lag], [1, 1, 1, 0, 0]);
  const metrics = await (await fetch(`${probes}/metrics`)).text();
  for (const expected of [
    'hydrogen_processor_consumed_total{rule="known"} 2',
    'hydrogen_processor_retried_total{rule="known"} 1',
    'hydrogen_processor_dead_lettered_total{rule="known"} 1',
    'hydrogen_processor_dropped_total 1',
    'hydrogen_processor_replies_total{outcome="gone"} 2',
    'hydrogen_processor_delivery_seconds_count{rule="known"} 4',
    'hydrogen_processor_in_flight 0',
    'hydrogen_processor_pending 0',
    'hydrogen_processor_bus_up 1',
  ]) {
    assert.ok(metrics.includes(`\n${expected}\n`), `${expected} is not in\n${metrics}`);
  }
  const messages = new Set(lines.map(({ msg }) => msg));
  for (const message of [
    'started',
    'ready',
    'message consumed',
    'delivery failed, will retry',
    'message dead-lettered',
  ]) {
    assert.ok(messages.has(message), message);
  }
  broker.setDown(true);
  assert.equal((await fetch(`${probes}/readyz`)).status, 503);
  broker.setDown(false);
  await mproc.stop('test', 100);
  await publisher.stop();
});
