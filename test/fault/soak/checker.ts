/**
 * From a history to the promises that it breaks: a pure function. docs/architecture.md and docs/wire.md have the
 * promises.
 *
 * - Every message of a connection that is open at the end, or was closed with 1000, 1001 or a service's code, is
 *   delivered or dead-lettered. What was sent while the close was under way is excused if the gateway or the bus failed
 *   in that time. What was sent on a connection that ended with 1006 or 1013 is only counted.
 * - With `ordering: PerConnection` a message arrives first when those before it are done. Repeats are allowed.
 * - Attempts are requests. Each fault that can end a delivery without a request excuses one.
 * - A push that was answered with 200 arrived, unless the connection closed; 410 was answered for closed ones only.
 * - A connection breaks (1006) only when its client breaks it or its gateway is killed.
 * - Every connection had its disconnect hook, except those of a killed gateway. A stopping one need not try again.
 * - No process ends by itself; memory and idle CPU stay within limits.
 */

import { burnsAttempts, excuseOf, isHookMissing, noticeMs, unpromisedCodes, wasSignalled } from './excuses.ts';
import {
  type ConnectionFacts,
  factsOf,
  faultsBetween,
  isDone,
  type MessageFacts,
  messageName,
  overlaps,
  type RunFacts,
} from './facts.ts';
import { type Ended, eventsOf, type History, type Pushed, type Signalled } from './history.ts';

export type Promised =
  | 'delivered'
  | 'in order'
  | 'attempts are requests'
  | 'close code'
  | 'push arrived'
  | '410 is final'
  | 'disconnect hook'
  | 'no process dies'
  | 'memory'
  | 'idle CPU';

export interface Violation {
  readonly promise: Promised;
  /** A message, a connection, a push or a process. */
  readonly subject: string;
  readonly detail: string;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly counts: Readonly<Record<string, number>>;
}

export interface RunLimits {
  /** Resident memory of each process. */
  readonly residentBytes: number;
  /** Share of one core of each process while nothing is to be done. */
  readonly idleCpu: number;
}

export function check(history: History, limits: RunLimits): Verdict {
  const facts = factsOf(history);
  return { violations: [...violationsOf(facts, limits)], counts: countsOf(facts) };
}

function* violationsOf(facts: RunFacts, limits: RunLimits): Iterable<Violation> {
  for (const connection of facts.connections.values()) {
    yield* checkMessages(facts, connection);
    yield* checkOrder(facts, connection);
    yield* checkEnd(facts, connection);
  }
  for (const push of eventsOf(facts.history, 'pushed')) yield* checkPush(facts, push);
  yield* checkProcesses(facts.history);
  yield* checkUse(facts.history, limits);
}

function* checkMessages(facts: RunFacts, connection: ConnectionFacts): Iterable<Violation> {
  for (const message of connection.messages) {
    const { sent } = message;
    if (!isDone(message) && excuseOf(facts, connection, message) === undefined) {
      const { closed } = connection;
      const end =
        closed === undefined
          ? 'open at the end'
          : `closed with ${closed.code} ${seconds(closed.atMs - sent.atMs)} later`;
      const around = faultsBetween(facts, sent.atMs - noticeMs, sent.atMs + noticeMs);
      const seen = message.requests.map(({ outcome }) => outcome).join(', ') || 'none';
      const detail = `sent at ${seconds(sent.atMs)}, ${end}; requests: ${seen}; ${around}`;
      yield { promise: 'delivered', subject: messageName(sent), detail };
    }
    yield* checkAttempts(facts, message);
  }
}

function* checkAttempts({ faults }: RunFacts, { sent, requests, letter }: MessageFacts): Iterable<Violation> {
  const last = requests.at(-1);
  if (last === undefined) return;
  const counted = letter?.attempts ?? Math.max(...requests.map(({ attempt }) => attempt));
  // What is sent again at once because a reused connection was closed is no other attempt (RFC 9110 section 9.2.2).
  const isRepeated = (index: number): boolean => requests[index]?.attempt === requests[index + 1]?.attempt;
  const seen = requests.filter(({ outcome }, index) => outcome !== 'reset' || !isRepeated(index)).length;
  const endMs = letter?.atMs ?? last.endedMs;
  const excuses = faults.filter((one) => burnsAttempts(one) && overlaps(one, sent.atMs, endMs)).length;
  if (Math.abs(counted - seen) <= excuses) return;
  const detail = `${counted} attempts counted, ${seen} requests seen, ${excuses} excused`;
  yield { promise: 'attempts are requests', subject: messageName(sent), detail };
}

function* checkOrder({ orderings }: RunFacts, { name, opened, messages }: ConnectionFacts): Iterable<Violation> {
  const lastMs = Math.max(...messages.map(({ delivery }) => delivery?.endedMs ?? 0));
  const atOpening = orderings.findLast(({ atMs }) => atMs <= opened.atMs);
  const isConstant = !orderings.some(({ atMs }) => atMs > opened.atMs && atMs <= lastMs);
  if (atOpening?.ordering !== 'PerConnection' || !isConstant) return;
  let before: MessageFacts | undefined;
  for (const message of messages) {
    const { delivery, letter, requests, sent } = message;
    const first = requests[0];
    if (before?.delivery !== undefined && first !== undefined && first.atMs < before.delivery.endedMs) {
      const detail = `arrived ${before.delivery.endedMs - first.atMs} ms before ${before.sent.number} was done`;
      yield { promise: 'in order', subject: messageName({ connection: name, number: sent.number }), detail };
    }
    const isLater = (delivery?.endedMs ?? 0) >= (before?.delivery?.endedMs ?? 0);
    if (delivery !== undefined && letter === undefined && isLater) before = message;
  }
}

function* checkEnd(facts: RunFacts, connection: ConnectionFacts): Iterable<Violation> {
  const { name, opened, closed, isBroken } = connection;
  if (closed === undefined) return;
  const { code } = closed;
  const around = faultsBetween(facts, closed.atMs - noticeMs, closed.atMs + noticeMs);
  const isUnexplained =
    code === 1006 && !isBroken && !wasSignalled(facts, 'SIGKILL', opened.gateway, opened.atMs, closed.atMs);
  if (isUnexplained || (code > 1001 && code < 3000 && !unpromisedCodes.includes(code))) {
    yield { promise: 'close code', subject: name, detail: `ended with ${code} at ${seconds(closed.atMs)}; ${around}` };
  }
  if (!isHookMissing(facts, connection)) return;
  const calls = connection.hooks.map(({ status }) => status).join(', ') || 'none';
  const detail = `closed with ${code} at ${seconds(closed.atMs)} on ${opened.gateway}; calls: ${calls}; ${around}`;
  yield { promise: 'disconnect hook', subject: name, detail };
}

function* checkPush(facts: RunFacts, { connection: name, push, status, atMs, endedMs }: Pushed): Iterable<Violation> {
  const connection = facts.connections.get(name);
  if (connection === undefined) return;
  const { closed, closing, opened } = connection;
  const closedMs = closed?.atMs ?? Number.POSITIVE_INFINITY;
  // While reading from a client is held, its gateway sees the end of the closing handshake late.
  const goneMs = Math.min(closedMs, closing?.atMs ?? closedMs);
  if (status === 200 && closedMs > endedMs + noticeMs && !facts.received.has(push)) {
    yield { promise: 'push arrived', subject: push, detail: `answered 200 at ${seconds(endedMs)}, did not arrive` };
  }
  if (status !== 410) return;
  // A frozen gateway closes its connections once it goes on.
  const frozen = facts.faults.filter((one) => one.target === opened.gateway && overlaps(one, atMs, endedMs));
  const limitMs = Math.max(endedMs, ...frozen.map((one) => one.endedMs)) + noticeMs;
  if (goneMs <= limitMs && opened.atMs <= endedMs) return;
  const detail = `answered 410 at ${seconds(endedMs)}, closed ${closed === undefined ? 'never' : `at ${seconds(closedMs)}`}`;
  yield { promise: '410 is final', subject: push, detail: `${detail}; ${faultsBetween(facts, atMs, limitMs)}` };
}

function* checkProcesses(history: History): Iterable<Violation> {
  const signals = new Map<string, string>();
  const lives = history.filter((event): event is Signalled | Ended => /^(signalled|ended)$/.test(event.kind));
  for (const event of lives) {
    const signal = signals.get(event.process);
    if (event.kind === 'signalled') {
      signals.set(event.process, signal ?? event.signal);
      continue;
    }
    signals.delete(event.process);
    if (signal === 'SIGKILL' || (signal === 'SIGTERM' && event.with === 0)) continue;
    const detail = `ended with ${event.with} at ${seconds(event.atMs)} after ${signal ?? 'no signal'}`;
    yield { promise: 'no process dies', subject: event.process, detail };
  }
}

function* checkUse(history: History, limits: RunLimits): Iterable<Violation> {
  for (const { process, residentBytes, idleCpu = 0 } of eventsOf(history, 'measured')) {
    const percent = Math.round(idleCpu * 100);
    if (idleCpu > limits.idleCpu) yield { promise: 'idle CPU', subject: process, detail: `${percent} % of a core` };
    if (residentBytes <= limits.residentBytes) continue;
    yield { promise: 'memory', subject: process, detail: `${Math.round(residentBytes / 1_048_576)} MiB resident` };
  }
}

function countsOf(facts: RunFacts): Record<string, number> {
  const counts: Record<string, number> = {};
  const add = (name: string, by = 1): void => {
    counts[name] = (counts[name] ?? 0) + by;
  };
  for (const connection of facts.connections.values()) {
    add('connections');
    add(connection.closed === undefined ? 'open at the end' : `closed with ${connection.closed.code}`);
    if (connection.closed !== undefined && connection.hooks.length === 0) add('without hook');
    for (const message of connection.messages) {
      const { requests, delivery, letter } = message;
      add('sent');
      if (delivery !== undefined) add('delivered');
      if (letter !== undefined) add('dead-lettered');
      add('requests', requests.length);
      if (!isDone(message)) add(`not delivered: ${excuseOf(facts, connection, message) ?? 'lost'}`);
    }
  }
  for (const { status } of eventsOf(facts.history, 'pushed')) add(`pushes answered ${status}`);
  add('longest time without a request, s', Math.round(longestSilenceMs(facts) / 1000));
  add('faults', facts.faults.length);
  return counts;
}

/** Between two requests, up to the last one. It breaks no promise, but somebody should know. */
function longestSilenceMs({ history }: RunFacts): number {
  const times = eventsOf(history, 'requested')
    .map(({ atMs }) => atMs)
    .sort((a, b) => a - b);
  return times.reduce((longest, atMs, index) => Math.max(longest, atMs - (times[index - 1] ?? atMs)), 0);
}

/** `12.3 s` into the run. */
function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
