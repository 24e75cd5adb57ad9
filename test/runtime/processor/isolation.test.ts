import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { HydrogenError } from '../../../runtime/errors.ts';
import type { ProcessorResource } from '../../../runtime/processor/settings.ts';
import { type DestinationHandler, startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { processorName, startProcessor, textsOf } from './kit.ts';

const connection = (n: number): string => `0123456789ab-${String(n).padStart(32, '0')}`;

/** Messages that begin with `bad` go to one destination, those that begin with `good` to another. */
function routes(bad: string, good: string, badName = 'bad'): ProcessorResource['spec']['routing'] {
  const destination = (url: string) => ({ url, headers: [], timeoutSeconds: 10, reply: false });
  return {
    rules: [
      { name: badName, pattern: '^bad', destination: destination(bad) },
      { name: 'good', pattern: '^good', destination: destination(good) },
    ],
    unmatched: 'DeadLetter',
  };
}

const neighbours: readonly (readonly [string, DestinationHandler])[] = [
  ['fails', () => ({ status: 503 })],
  ['does not answer', () => 'handled'],
];

for (const [what, handler] of neighbours) {
  test(`a destination that ${what} keeps nothing from another, whatever waits for it`, async () => {
    await using bad = await startDestination(handler);
    await using good = await startDestination();
    const delivery = { maxInFlight: 8, maxAttempts: 100, backoffSeconds: [60] };
    await using kit = await startProcessor('http://unused', { spec: { routing: routes(bad.url, good.url), delivery } });
    for (let n = 0; n < 500; n++) await kit.send(connection(n % 50), `bad ${n}`);
    for (let n = 0; n < 100; n++) await kit.send(connection(100 + n), `good ${n}`);
    await eventually(() => good.requests.length === 100);
    await eventually(() => kit.recorded.consumed.length === 100);
    assert(bad.requests.length <= 20, `${bad.requests.length} requests to the other one`);
  });
}

test('everything that waited for a destination is delivered once it answers again', async () => {
  let isUp = false;
  await using bad = await startDestination(() => ({ status: isUp ? 200 : 503 }));
  await using good = await startDestination();
  const delivery = { maxInFlight: 8, maxAttempts: 100, backoffSeconds: [0.05] };
  await using kit = await startProcessor('http://unused', {
    spec: { routing: routes(bad.url, good.url), delivery },
    circuit: { connections: 5, firstDelayMs: 50, maxDelayMs: 50 },
  });
  for (let n = 0; n < 200; n++) await kit.send(connection(n), `bad ${n}`);
  await eventually(() => kit.recorded.circuits.includes('bad open'));
  await eventually(() => (kit.worker.waitingByRule().get('bad') ?? 0) > 0);
  assert.equal(kit.worker.openCircuitsByRule().get('bad'), 1);
  assert((kit.worker.oldestSecondsByRule().get('bad') ?? 0) > 0);
  isUp = true;
  await eventually(() => kit.recorded.consumed.length === 200);
  assert.equal(new Set(kit.recorded.consumed.map(({ messageId }) => messageId)).size, 200);
  assert.equal(kit.recorded.circuits.at(-1), 'bad closed');
  await eventually(() => kit.stored() === 0);
});

test('every attempt is one request, whatever restarts meanwhile', async () => {
  const broker = createMemoryBroker();
  let isUp = false;
  await using bad = await startDestination(() => (isUp ? {} : 'handled'));
  await using good = await startDestination();
  const delivery = { maxInFlight: 4, maxAttempts: 9, ackTimeoutSeconds: 0.3 };
  const spec = { routing: routes(bad.url, good.url), delivery };
  const sent = 40;
  for (let restart = 0; restart < 4; restart++) {
    await using kit = await startProcessor('http://unused', { spec, broker });
    if (restart === 0) for (let n = 0; n < sent; n++) await kit.send(connection(n), `bad ${n}`);
    const before = bad.requests.length;
    await eventually(() => bad.requests.length > before);
    await kit.worker.stop({ graceMs: 0 });
  }
  isUp = true;
  await using kit = await startProcessor('http://unused', { spec, broker });
  await eventually(() => kit.recorded.consumed.length + kit.recorded.deadLettered.length === sent);
  for (const { messageId, attempt } of kit.recorded.consumed) {
    const requests = bad.requests.filter(({ headers }) => headers['hydrogen-message-id'] === messageId);
    assert.equal(requests.length, attempt, `message ${messageId}: attempt ${attempt}`);
  }
  const untouched = kit.recorded.consumed.filter(({ attempt }) => attempt === 1);
  assert(untouched.length >= sent - 4 * 2, `${untouched.length} of ${sent} were not tried before`);
});

test('a message on which every process dies becomes a dead letter', async () => {
  const broker = createMemoryBroker();
  await using hanging = await startDestination(() => 'handled');
  const spec = { delivery: { maxAttempts: 1, ackTimeoutSeconds: 0.1 } };
  const lives = 5;
  for (let life = 1; life <= lives; life++) {
    await using kit = await startProcessor(hanging.url, { spec, broker });
    if (life === 1) await kit.send(connection(1), 'poison');
    await eventually(() => hanging.requests.length === life);
    await kit.worker.stop({ graceMs: 0 });
  }
  await using kit = await startProcessor(hanging.url, { spec, broker });
  await eventually(() => kit.recorded.deadLettered.length === 1);
  const [letter] = await kit.bus.deadLetters.of(processorName).list(1);
  assert.deepEqual([letter?.code, letter?.attempts], ['HYD_PROCESSOR_LOST', lives]);
  assert.equal(hanging.requests.length, lives);
});

test('a message that waits for too long becomes a dead letter', async () => {
  await using bad = await startDestination(() => ({ status: 503 }));
  await using good = await startDestination();
  const delivery = { maxAttempts: 100, backoffSeconds: [0.3], maxWaitSeconds: 0.2 };
  await using kit = await startProcessor('http://unused', { spec: { routing: routes(bad.url, good.url), delivery } });
  await kit.send(connection(1), 'bad');
  await eventually(() => kit.recorded.deadLettered.length === 1);
  const [letter] = await kit.bus.deadLetters.of(processorName).list(1);
  assert.deepEqual([letter?.code, letter?.attempts], ['HYD_EXPIRED', 1]);
});

test('what waits for a rule that is gone is routed again', async () => {
  await using bad = await startDestination(() => ({ status: 503 }));
  await using good = await startDestination();
  const delivery = { maxAttempts: 100, backoffSeconds: [0.5] };
  await using kit = await startProcessor('http://unused', { spec: { routing: routes(bad.url, good.url), delivery } });
  await kit.send(connection(1), 'bad');
  await eventually(() => kit.recorded.retried.length === 1);
  await kit.reconfigure({ routing: routes(good.url, good.url, 'renamed'), delivery });
  await eventually(() => kit.recorded.consumed.length === 1);
  assert.deepEqual([kit.recorded.consumed[0]?.rule, kit.recorded.consumed[0]?.attempt], ['renamed', 2]);
  assert.deepEqual(textsOf(good.requests), ['bad']);
});

test('a missing secret burns no attempt', async () => {
  await using bad = await startDestination();
  let isMounted = false;
  await using kit = await startProcessor(bad.url, {
    spec: { delivery: { maxAttempts: 1, backoffSeconds: [0.01] } },
    resolveHeaders: () => {
      if (!isMounted) throw new HydrogenError('HYD_SECRET_MISSING', 'secret a, key b');
      return [];
    },
  });
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.recorded.retried.length >= 3);
  isMounted = true;
  await eventually(() => kit.recorded.consumed.length === 1);
  assert.equal(bad.requests[0]?.headers['hydrogen-attempt'], '1');
});

test('dead letters that are not accepted wait without keeping anything up', async () => {
  const broker = createMemoryBroker({ maxDeadLetters: 2 });
  await using good = await startDestination();
  const delivery = { maxInFlight: 4, backoffSeconds: [0.05] };
  const spec = { routing: routes(good.url, good.url), delivery };
  await using kit = await startProcessor('http://unused', { spec, broker, letterRetryMs: 50 });
  for (let n = 0; n < 100; n++) await kit.send(connection(n), `neither ${n}`);
  for (let n = 0; n < 50; n++) await kit.send(connection(200 + n), `good ${n}`);
  await eventually(() => kit.recorded.consumed.length === 50);
  await eventually(() => kit.stored() === 98 && kit.recorded.deadLettered.length === 2);
  const letters = kit.bus.deadLetters.of(processorName);
  await eventually(async () => {
    await letters.purge();
    return kit.recorded.deadLettered.length === 100;
  });
  assert.deepEqual(new Set(kit.recorded.deadLettered.map(({ attempt }) => attempt)), new Set([1]));
});
