import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { GatewayMetrics, ProcessorMetrics } from '../../runtime/role/metrics.ts';
import './sources.ts';

const page = readFileSync('docs/operations.md', 'utf8');

test('docs/operations.md lists every metric of ours and no other', () => {
  const gateway = new GatewayMetrics({
    memberships: () => 0,
    connections: () => [],
    unacknowledged: () => ({ messages: 0, bytes: 0 }),
    isBusUp: () => true,
    isPressed: () => false,
    held: () => [],
  });
  const processor = new ProcessorMetrics({
    waiting: () => [],
    held: () => [],
    open: () => [],
    oldestSeconds: () => [],
    lanes: () => undefined,
    inFlight: () => 0,
    lag: async () => undefined,
    isBusUp: () => true,
  });
  const registered = [gateway, processor]
    .flatMap(({ registry }) => registry.getMetricsAsArray().map(({ name }) => name))
    .filter((name) => name.startsWith('hydrogen_'));
  const documented = [...page.matchAll(/^\| `(hydrogen_\w+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(documented.sort(), registered.sort());
});

test('docs/operations.md explains every log line', () => {
  const messages = [...readFileSync('runtime/role/log.ts', 'utf8').matchAll(/'([a-z][^'\n]+)'\)?,?$/gm)]
    .map((match) => match[1] ?? '')
    .filter((message) => !message.startsWith('pino'));
  assert.ok(messages.length > 20, `${messages.length} messages`);
  const table = page.slice(page.indexOf('## What the log says'));
  for (const message of messages) assert.ok(table.includes(message), `"${message}" is not in docs/operations.md`);
});
