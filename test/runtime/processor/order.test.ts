/** What a worker does with `ordering: PerConnection`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { processorName, startProcessor, textsOf } from './kit.ts';

const connection = (n: number): string => `0123456789ab-${String(n).padStart(32, '0')}`;
const ordered = { ordering: 'PerConnection' } as const;

test('a message that keeps failing holds back its own connection alone', async () => {
  let isFailing = true;
  await using destination = await startDestination((request) => {
    return isFailing && request.json().message === 'bad' ? { status: 503 } : {};
  });
  await using kit = await startProcessor(destination.url, {
    spec: { delivery: { ...ordered, partitions: 1, maxAttempts: 100 } },
  });
  await kit.send(connection(1), 'bad');
  await kit.send(connection(1), 'behind');
  for (let i = 2; i < 40; i++) await kit.send(connection(i), `good ${i}`);
  await eventually(() => kit.recorded.consumed.length === 38 && kit.recorded.retried.length > 2);
  assert.equal(textsOf(destination.requests).includes('behind'), false);
  isFailing = false;
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(textsOf(destination.requests).slice(-2), ['bad', 'behind']);
  const attempts = destination.requests
    .filter((request) => request.json().message === 'bad')
    .map(({ headers }) => Number(headers['hydrogen-attempt']));
  assert.deepEqual(
    attempts,
    Array.from(attempts, (_, i) => i + 1),
  );
});

test('what waits for a destination is counted with what is behind it, and reported after half a minute', async (context) => {
  await using destination = await startDestination((request) =>
    request.json().message === 'bad' ? { status: 503 } : {},
  );
  await using kit = await startProcessor(destination.url, {
    circuit: { connections: 2, firstDelayMs: 60_000, maxDelayMs: 60_000 },
    spec: { delivery: { ...ordered, maxAttempts: 100, backoffSeconds: [60] } },
  });
  const startedAtMs = Date.now();
  for (const n of [1, 2]) await kit.send(connection(n), 'bad');
  for (const text of ['behind', 'behind, too']) await kit.send(connection(1), text);
  await eventually(() => kit.recorded.circuits.includes('all open') && kit.worker.heldByRule().get('all') === 4);
  assert.deepEqual(kit.worker.backlogs(), [], 'nothing has waited for long');
  const now = Date.now.bind(Date);
  context.mock.method(Date, 'now', () => now() + 31_000);
  const [backlog, ...others] = kit.worker.backlogs();
  assert.deepEqual([backlog?.destination, backlog?.messages, others], ['all', 4, []]);
  for (const ms of [backlog?.oldestMs, backlog?.failingSinceMs])
    assert.ok((ms ?? 0) >= startedAtMs && (ms ?? 0) <= now());
});

test('a dead letter that is not accepted holds back its own connection alone, and keeps its attempts', async () => {
  await using destination = await startDestination((request) =>
    request.json().message === 'refused' ? { status: 422 } : {},
  );
  const broker = createMemoryBroker({ maxDeadLetters: 1 });
  await using kit = await startProcessor(destination.url, {
    broker,
    letterRetryMs: 20,
    spec: { delivery: { ...ordered, partitions: 1 } },
  });
  await kit.send(connection(9), 'refused');
  await eventually(() => kit.recorded.deadLettered.length === 1);
  await kit.send(connection(1), 'refused');
  await kit.send(connection(1), 'behind');
  await kit.send(connection(2), 'good');
  await eventually(() => kit.recorded.consumed.length === 1 && kit.recorded.problems.length > 1);
  assert.equal(textsOf(destination.requests).includes('behind'), false);
  await kit.bus.deadLetters.of(processorName).purge();
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(
    kit.recorded.deadLettered.map(({ attempt }) => attempt),
    [1, 1],
  );
  assert.deepEqual(textsOf(destination.requests).slice(-1), ['behind']);
});

test('what waits for a destination without requests becomes a dead letter when its time is over', async () => {
  await using destination = await startDestination(() => ({ status: 503 }));
  await using kit = await startProcessor(destination.url, {
    circuit: { connections: 2, firstDelayMs: 60_000, maxDelayMs: 60_000 },
    spec: { delivery: { ...ordered, maxWaitSeconds: 1, ackTimeoutSeconds: 2 } },
  });
  await kit.send(connection(0), 'tried');
  await kit.send(connection(1), 'tried');
  await eventually(() => kit.recorded.circuits.length > 0);
  for (let i = 2; i < 6; i++) await kit.send(connection(i), 'waits');
  await eventually(() => kit.stored() === 0);
  assert.equal(kit.recorded.deadLettered.length, 6);
  assert.equal(textsOf(destination.requests).includes('waits'), false);
});

test('a stop hands over what has not started, and the next processor continues with the attempts', async () => {
  let status = 503;
  await using destination = await startDestination(() => ({ status }));
  const broker = createMemoryBroker();
  const spec = { delivery: { ...ordered, maxAttempts: 3, backoffSeconds: [60] } };
  await using old = await startProcessor(destination.url, { broker, spec });
  await old.send(connection(1), 'first');
  await old.send(connection(1), 'second');
  await eventually(() => old.recorded.retried.length === 1);
  await old.worker.stop({ graceMs: 5_000 });
  status = 200;
  await using next = await startProcessor(destination.url, { broker, spec });
  await eventually(() => next.recorded.consumed.length === 2);
  const seen = destination.requests.map((request) => [request.json().message, request.headers['hydrogen-attempt']]);
  assert.deepEqual(seen, [
    ['first', '1'],
    ['first', '2'],
    ['second', '1'],
  ]);
});
