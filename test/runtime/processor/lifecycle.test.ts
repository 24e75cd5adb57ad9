import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HydrogenError } from '../../../runtime/errors.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { clientMessageOf, processorName, routingTo, startProcessor, textsOf } from './kit.ts';

const connection = (n: number): string => `0123456789ab-${String(n).padStart(32, '0')}`;

/** A payload that is not forgotten. */
const kept = { shed: () => false, recall: async () => 'read' as const };

test('lets started deliveries finish when it stops, and hands back the others', async () => {
  let release = () => {};
  await using destination = await startDestination(async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return {};
  });
  await using kit = await startProcessor(destination.url);
  await kit.send(connection(1), 'started');
  await kit.send(connection(1), 'queued');
  await eventually(() => destination.requests.length === 1 && kit.worker.waiting === 1);
  const stopped = kit.worker.stop({ graceMs: 10_000 });
  assert.equal(kit.worker.isReady, false);
  assert.equal(kit.worker.waiting, 0);
  await kit.send(connection(2), 'late');
  release();
  await stopped;
  assert.deepEqual(textsOf(destination.requests), ['started']);
  assert.equal(kit.recorded.consumed.length, 1);
  assert.equal(kit.stored(), 2);
});

test('parks what the bus still delivers while it stops', async () => {
  await using destination = await startDestination();
  await using kit = await startProcessor(destination.url);
  await kit.worker.stop({ graceMs: 1_000 });
  const message = clientMessageOf('late', connection(1), 'late');
  const fail = (): never => assert.fail();
  const work = { ...kept, isWithdrawn: false, begin: () => true, rest: () => {}, working: fail };
  const end = { term: fail, nak: fail, ack: () => {} };
  const unparked = {
    isShared: false,
    isReplay: false,
    storedAtMs: 0,
    room: undefined,
    dueAtMs: 0,
    cause: undefined,
    source: 'm1',
  };
  kit.deliver({ ...message, ...work, ...end, ...unparked, attempt: 1 });
  await eventually(async () => (await kit.bus.waiting.rooms(processorName))?.get('~unrouted') === 1);
  assert.equal(destination.requests.length, 0);
});

test('moves the messages of an entry that was delivered twice to where each is delivered by itself', async () => {
  const acked = new Set<number>();
  const ackedBefore: string[] = [];
  await using destination = await startDestination(({ headers }) => {
    const attempt = headers['hydrogen-attempt'];
    if (acked.has(Number(attempt))) ackedBefore.push(String(attempt));
    return {};
  });
  await using kit = await startProcessor(destination.url);
  const fail = (): never => assert.fail();
  const shared = { isShared: true, isReplay: false, storedAtMs: Date.now(), room: undefined, dueAtMs: 0 };
  for (const attempt of [1, 2, 3]) {
    const message = clientMessageOf(`message-${attempt}`, connection(attempt), 'hello');
    const work = { ...kept, isWithdrawn: false, begin: () => true, rest: () => {}, working: () => {} };
    const end = { term: fail, nak: fail, ack: () => void acked.add(attempt) };
    kit.deliver({ ...message, ...shared, ...work, ...end, cause: undefined, source: `m1i${attempt}`, attempt });
  }
  await eventually(() => acked.size === 3 && destination.requests.length === 3);
  assert.deepEqual(ackedBefore, ['3'], 'it left its entry before it was tried');
});

test('leaves what is unfinished after graceMs to others, without notifying the bus', async () => {
  await using destination = await startDestination(() => 'handled');
  await using kit = await startProcessor(destination.url);
  await kit.send(connection(1), 'hello');
  await eventually(() => destination.requests.length === 1);
  const startedMs = performance.now();
  await kit.worker.stop({ graceMs: 50 });
  assert(performance.now() - startedMs < 5_000);
  const { consumed, retried, deadLettered, dropped } = kit.recorded;
  assert.deepEqual([consumed, retried, deadLettered, dropped], [[], [], [], []]);
  assert.equal(kit.stored(), 1);
});

test('stops at once when nothing is in flight, however often it is called', async () => {
  await using destination = await startDestination();
  await using kit = await startProcessor(destination.url);
  const startedMs = performance.now();
  await Promise.all([kit.worker.stop({ graceMs: 60_000 }), kit.worker.stop({ graceMs: 60_000 })]);
  assert(performance.now() - startedMs < 5_000);
});

test('keeps delivering what it has after the bus is stopped, without failing', async () => {
  await using destination = await startDestination(() => ({ status: 422 }));
  await using kit = await startProcessor(destination.url);
  let release = () => {};
  destination.handle(async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return { status: 422 };
  });
  await kit.send(connection(1), 'hello');
  await eventually(() => destination.requests.length === 1);
  await kit.bus.stop();
  release();
  await kit.worker.stop({ graceMs: 5_000 });
  assert.deepEqual(kit.recorded.deadLettered, []);
});

test('applies new rules to the next message and lets the current one finish with the old ones', async () => {
  let release = () => {};
  await using before = await startDestination(async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return {};
  });
  await using after = await startDestination();
  await using kit = await startProcessor(before.url);
  await kit.send(connection(1), 'one');
  await kit.send(connection(1), 'two');
  await eventually(() => before.requests.length === 1);
  await kit.reconfigure({ routing: routingTo(after.url, { headers: [{ name: 'x-new', value: 'yes' }] }) });
  release();
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(textsOf(before.requests), ['one']);
  assert.deepEqual(textsOf(after.requests), ['two']);
  assert.equal(after.requests[0]?.headers['x-new'], 'yes');
  assert.deepEqual(
    kit.recorded.consumed.map(({ attempt }) => attempt),
    [1, 1],
  );
});

test('refuses an invalid rule set and keeps the old one', async () => {
  await using destination = await startDestination();
  await using kit = await startProcessor(destination.url);
  await assert.rejects(
    kit.reconfigure({ routing: routingTo(destination.url, {}, '(') }),
    (err) => err instanceof HydrogenError && err.code === 'HYD_CONFIG_INVALID' && err.message.includes('rule 1 (all)'),
  );
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.stored() === 0);
  assert.equal(destination.requests.length, 1);
});

test('applies new delivery values without restarting the consumption', async () => {
  await using destination = await startDestination(() => ({ status: 500 }));
  await using kit = await startProcessor(destination.url);
  await kit.reconfigure({ delivery: { maxAttempts: 1 } });
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.recorded.deadLettered.length === 1);
  assert.equal(destination.requests.length, 1);
});

test('applies a new maxInFlight, drops nothing and never exceeds it', async () => {
  let open = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  await using destination = await startDestination(async () => {
    most = Math.max(most, ++open);
    await new Promise<void>((resolve) => waiting.push(resolve));
    open--;
    return {};
  });
  await using kit = await startProcessor(destination.url, { spec: { delivery: { maxInFlight: 4 } } });
  for (let i = 0; i < 20; i++) await kit.send(connection(i), 'hello');
  await eventually(() => open === 4);
  await kit.reconfigure({ delivery: { maxInFlight: 2 } });
  assert.equal(kit.worker.isReady, true);
  await holds(() => open === 4, 50);
  for (let i = 0; i < 4; i++) waiting.shift()?.();
  await eventually(() => open === 2);
  most = 0;
  await holds(() => open === 2, 50);
  while (kit.stored() > 0) {
    waiting.shift()?.();
    await new Promise(setImmediate);
  }
  assert.equal(most <= 2, true, `${most} at once`);
  assert.equal(destination.requests.length, 20);
  assert.deepEqual(new Set(kit.recorded.consumed.map(({ attempt }) => attempt)), new Set([1]));
});

test('consumes the endpoints of the new configuration', async () => {
  await using destination = await startDestination();
  await using kit = await startProcessor(destination.url, { spec: { endpoints: ['/other'] } });
  await kit.reconfigure({ endpoints: ['/chat'] });
  await kit.send(connection(1), 'hello');
  await eventually(() => destination.requests.length === 1);
});

test('reports its lag on the bus', async () => {
  await using destination = await startDestination(() => 'handled');
  await using kit = await startProcessor(destination.url, { spec: { delivery: { maxInFlight: 1 } } });
  for (let i = 0; i < 3; i++) await kit.send(connection(i), 'hello');
  await eventually(() => destination.requests.length === 1);
  await eventually(async () => (await kit.worker.lag())?.unacknowledged === 2);
  assert.deepEqual(await kit.worker.lag(), { pending: 3, unacknowledged: 2 });
});
