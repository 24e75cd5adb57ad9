/** The checker of the fault run: it accepts a correct history, and each kind of breach is seen as exactly that. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { check, type Promised } from './soak/checker.ts';
import type { HistoryEvent } from './soak/history.ts';

const limits = { residentBytes: 100, idleCpu: 0.1 };

/** Three connections of an ordered processor: `a` stays open, `b` is closed with 1001 by a stop, `c` breaks. */
const correct: readonly HistoryEvent[] = [
  { kind: 'reordered', atMs: 0, ordering: 'PerConnection' },
  { kind: 'opened', atMs: 10, connection: 'a', gateway: 'gateway-0' },
  { kind: 'opened', atMs: 10, connection: 'b', gateway: 'gateway-1' },
  { kind: 'opened', atMs: 10, connection: 'c', gateway: 'gateway-1' },
  ...delivered('a', 1, 100),
  ...delivered('a', 2, 200),
  ...delivered('b', 1, 300),
  ...delivered('b', 2, 400),
  request('b', 1, 455, 2, 200), // again, since its acknowledgement was lost
  { kind: 'sent', atMs: 500, connection: 'c', number: 1 },
  { kind: 'closing', atMs: 501, connection: 'c', by: 'break' },
  { kind: 'closed', atMs: 501, connection: 'c', code: 1006 },
  { kind: 'sent', atMs: 510, connection: 'a', number: 3 },
  ...[1, 2].map((attempt) => request('a', 3, 520 + 10 * attempt, attempt, 422)),
  { kind: 'deadLettered', atMs: 545, connection: 'a', number: 3, attempts: 2 },
  { kind: 'pushed', atMs: 600, endedMs: 610, connection: 'a', push: 'p1', status: 200 },
  { kind: 'received', atMs: 605, connection: 'a', push: 'p1' },
  { kind: 'signalled', atMs: 700, process: 'gateway-1', signal: 'SIGTERM' },
  { kind: 'sent', atMs: 710, connection: 'b', number: 3 },
  ...delivered('b', 3, 710).slice(1),
  { kind: 'closed', atMs: 800, connection: 'b', code: 1001 },
  { kind: 'hooked', atMs: 810, connection: 'b', status: 200 },
  { kind: 'hooked', atMs: 810, connection: 'c', status: 200 },
  { kind: 'ended', atMs: 820, process: 'gateway-1', with: 0 },
  { kind: 'pushed', atMs: 900, endedMs: 910, connection: 'b', push: 'p2', status: 410 },
  { kind: 'signalled', atMs: 1_000, process: 'processor-0', signal: 'SIGKILL' },
  { kind: 'ended', atMs: 1_001, process: 'processor-0', with: 'SIGKILL' },
  { kind: 'measured', atMs: 1_100, process: 'gateway-0', residentBytes: 90, idleCpu: 0.05 },
].sort((x, y) => x.atMs - y.atMs) as HistoryEvent[]; // the tuple types of the spreads are lost on the way

function delivered(connection: string, number: number, atMs: number): readonly HistoryEvent[] {
  return [{ kind: 'sent', atMs, connection, number }, request(connection, number, atMs + 5, 1, 200)];
}

function request(
  connection: string,
  number: number,
  atMs: number,
  attempt: number,
  outcome: number,
): Extract<HistoryEvent, { kind: 'requested' }> {
  return { kind: 'requested', atMs, endedMs: atMs + 5, connection, number, attempt, outcome };
}

const isRequest = (event: HistoryEvent, connection: string, number: number): boolean =>
  event.kind === 'requested' && event.connection === connection && event.number === number;

/** The history without the events that the test accepts. */
function without(test_: (event: HistoryEvent) => boolean): HistoryEvent[] {
  return correct.filter((event) => !test_(event));
}

function changed(test_: (event: HistoryEvent) => boolean, change: Partial<Record<string, unknown>>): HistoryEvent[] {
  return correct.map((event) => (test_(event) ? ({ ...event, ...change } as HistoryEvent) : event));
}

function found(history: readonly HistoryEvent[]): string[] {
  return check(history, limits).violations.map(({ promise, subject }) => `${promise}: ${subject}`);
}

const breaches: readonly [title: string, promise: Promised, subject: string, history: readonly HistoryEvent[]][] = [
  [
    'a message that is acknowledged before its request, and whose processor is killed',
    'delivered',
    'a 2',
    [
      ...without((event) => isRequest(event, 'a', 2)),
      { kind: 'faulted', fault: 'killProcessor', target: 'processor-0', atMs: 190, endedMs: 1_000 },
    ],
  ],
  ['a message that is dropped', 'delivered', 'a 1', without((event) => isRequest(event, 'a', 1))],
  [
    'a message that was only refused by its destination',
    'delivered',
    'a 3',
    without(({ kind }) => kind === 'deadLettered'),
  ],
  [
    'two messages in the wrong order',
    'in order',
    'a 2',
    correct.map((event) => {
      if (isRequest(event, 'a', 1)) return request('a', 1, 205, 1, 200);
      return isRequest(event, 'a', 2) ? request('a', 2, 105, 1, 200) : event;
    }),
  ],
  [
    'a message that arrives while the one before it is being tried',
    'in order',
    'a 2',
    changed((event) => isRequest(event, 'a', 1), { endedMs: 300 }),
  ],
  ['1001 while a message is not stored', 'delivered', 'b 3', without((event) => isRequest(event, 'b', 3))],
  [
    'a false 410',
    '410 is final',
    'p2',
    changed(({ kind }) => kind === 'pushed', { connection: 'a', status: 410, push: 'p2' }).filter(
      (event, index, all) => event.kind !== 'pushed' || index === all.findIndex(({ kind }) => kind === 'pushed'),
    ),
  ],
  ['a push answered with 200 that did not arrive', 'push arrived', 'p1', without(({ kind }) => kind === 'received')],
  [
    'a connection without its disconnect hook',
    'disconnect hook',
    'c',
    without((event) => event.kind === 'hooked' && event.connection === 'c'),
  ],
  [
    'an attempt that was no request',
    'attempts are requests',
    'a 2',
    changed((event) => isRequest(event, 'a', 2), { attempt: 2 }),
  ],
  [
    'a dead letter of more attempts than requests',
    'attempts are requests',
    'a 3',
    changed(({ kind }) => kind === 'deadLettered', { attempts: 3 }),
  ],
  [
    'a process that ends by itself',
    'no process dies',
    'processor-0',
    without(({ kind, ...event }) => kind === 'signalled' && 'process' in event && event.process === 'processor-0'),
  ],
  [
    'a process that does not stop in an orderly way',
    'no process dies',
    'gateway-1',
    changed((event) => event.kind === 'ended' && event.process === 'gateway-1', { with: 1 }),
  ],
  [
    'a connection closed for a failure of the gateway',
    'close code',
    'c',
    [
      ...changed((event) => event.kind === 'closed' && event.connection === 'c', { code: 1011 }),
      request('c', 1, 505, 1, 200),
    ],
  ],
  ['a connection that breaks by itself', 'close code', 'c', without(({ kind }) => kind === 'closing')],
  ['too much memory', 'memory', 'gateway-0', changed(({ kind }) => kind === 'measured', { residentBytes: 101 })],
  ['CPU time at rest', 'idle CPU', 'gateway-0', changed(({ kind }) => kind === 'measured', { idleCpu: 0.2 })],
];

test('the checker accepts a history that keeps every promise, and counts it', () => {
  const { violations, counts } = check(correct, limits);
  assert.deepEqual(violations, []);
  assert.equal(counts.sent, 7);
  assert.equal(counts.delivered, 5);
  assert.equal(counts['dead-lettered'], 1);
  assert.equal(counts['not delivered: connection lost'], 1);
});

for (const [title, promise, subject, history] of breaches) {
  test(`the checker sees ${title}`, () => {
    assert.deepEqual(found(history), [`${promise}: ${subject}`]);
  });
}

test('the checker excuses what was sent during a close only when the gateway or the bus failed in that time', () => {
  const lost = without((event) => isRequest(event, 'b', 3));
  const faulted = (target: string, fault: 'freezeGateway' | 'killAllNodes'): HistoryEvent => ({
    kind: 'faulted',
    fault,
    target,
    atMs: 705,
    endedMs: 790,
  });
  assert.deepEqual(found([...lost, faulted('gateway-1', 'freezeGateway')]), []);
  assert.deepEqual(found([...lost, faulted('nats', 'killAllNodes')]), []);
  assert.deepEqual(found([...lost, faulted('gateway-0', 'freezeGateway')]), ['delivered: b 3']);
  // What was sent before the close began had to be stored first.
  const early = without((event) => isRequest(event, 'b', 2));
  assert.deepEqual(found([...early, faulted('nats', 'killAllNodes')]), ['delivered: b 2']);
});

test('the checker takes a request that was sent again after a reset for the same attempt', () => {
  const reset: HistoryEvent = { ...request('a', 2, 201, 1, 200), outcome: 'reset' };
  assert.deepEqual(found([...correct, reset]), []);
  assert.deepEqual(found([...correct, { ...reset, outcome: 503 }]), ['attempts are requests: a 2']);
});

test('the checker accepts a break by the client of a connection that a service closes at the same time', () => {
  const closing: HistoryEvent = { kind: 'closing', atMs: 500, connection: 'c', by: 'service' };
  assert.deepEqual(found([...correct, closing]), []);
});

test('the checker demands hooks of stopped gateways, and none of killed ones', () => {
  const unhooked = without(({ kind }) => kind === 'hooked');
  assert.deepEqual(found(unhooked), ['disconnect hook: b', 'disconnect hook: c']);
  // A gateway that stops tries once.
  assert.deepEqual(found(changed(({ kind }) => kind === 'hooked', { status: 500 })), []);
  const unstopped = without((event) => 'process' in event && event.process === 'gateway-1');
  const refused = unstopped.map((event) => (event.kind === 'hooked' ? { ...event, status: 500 } : event));
  assert.deepEqual(found(refused), ['disconnect hook: b', 'disconnect hook: c']);
  const killed = unhooked.map((event) => {
    if (event.kind === 'signalled' && event.process === 'gateway-1') return { ...event, signal: 'SIGKILL' };
    return event.kind === 'closed' && event.connection === 'b' ? { ...event, code: 1006 } : event;
  });
  assert.deepEqual(found(killed), []);
});

test('the checker looks at order only while the ordering stays PerConnection', () => {
  const swapped = changed((event) => isRequest(event, 'a', 1), { endedMs: 300 });
  assert.deepEqual(found(swapped), ['in order: a 2']);
  const reordered: HistoryEvent = { kind: 'reordered', atMs: 150, ordering: 'PerConnection' };
  assert.deepEqual(found([...swapped, reordered]), []);
});
