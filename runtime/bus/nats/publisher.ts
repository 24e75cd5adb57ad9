/**
 * Stores messages in one stream. A message is unacknowledged until the stream acknowledges it under its own id: it is sent
 * again, in order, after an acknowledgement that does not come, a refusal, or a new connection. While the stream
 * refuses, only the oldest message is tried, with back-off; then the rest follows, a few at first.
 *
 * Of each connection one message is on its way at a time: were there two, the stream could refuse the first and take the
 * second, and no consumer could put them in order again. A connection so sends one message per round trip at most.
 *
 * One file, though long: every step of a message moves the same counters, and they are right only together.
 */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import { defaultPublishLimits, type PublishLimits, type Unacknowledged } from '../port/pressure.ts';
import type { Link } from './connection.ts';
import { judgeAck } from './wire.ts';

/** What is to be stored. `headers` is a complete block with an id, so that a second attempt is recognised. */
export interface Storable {
  readonly subject: string;
  readonly headers: string;
  readonly payload: Uint8Array;
  /** What `unstored` tells of it. */
  readonly connectionId: string;
}

export interface Publisher {
  readonly unacknowledged: Unacknowledged;
  /** True while the stream refuses or too much is unacknowledged. */
  readonly isPressed: boolean;
  /** Called when `isPressed` may have changed. */
  onChange(listener: () => void): void;
  /** @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE, HYD_BUS_STOPPED */
  store(storable: Storable): Promise<void>;
  /** Waits for everything unacknowledged; resolves with the connections of the rest. */
  flush(timeoutMs: number): Promise<string[]>;
  stop(): void;
}

interface Pending {
  readonly number: number;
  readonly subject: string;
  readonly headers: string;
  readonly connectionId: string;
  readonly bytes: number;
  payload: Uint8Array;
  state: 'unsent' | 'sent' | 'done';
  sentAtMs: number;
  readonly resolve: () => void;
  readonly reject: (error: HydrogenError) => void;
}

const ackTimeoutMs = 5000;
const sweepMs = 250;
const firstProbeMs = 50;
const maxProbeMs = 2000;
const maxWindow = 8192;
const maxWindowBytes = 16 * 1024 * 1024;
const cautiousWindow = 16;
const nothing = new Uint8Array(0);

/** @param kind one letter that keeps the acknowledgements of several publishers on one link apart */
export function createPublisher(
  link: Link,
  kind: string,
  stream: string,
  limits: PublishLimits = defaultPublishLimits,
): Publisher {
  const inbox = `${link.inbox}.${kind}.`;
  const accepted = Buffer.from(`{"stream":"${stream}","seq":`);
  const all = new Map<number, Pending>();
  const fresh = new Fifo<Pending>();
  const sentOrder = new Fifo<Pending>();
  const listeners: (() => void)[] = [];
  /** Connections with a message on its way, and what waits behind it. */
  const lines = new Map<string, Fifo<Pending> | undefined>();
  const flushed = new Set<() => void>();
  const returned: Pending[] = [];
  let isSorted = true;
  let lastNumber = 0;
  let bytes = 0;
  let sent = 0;
  let sentBytes = 0;
  let window = maxWindow;
  let probe: Pending | undefined;
  let probeTimer: NodeJS.Timeout | undefined;
  let probeDelayMs = firstProbeMs;
  let isRefused = false;
  let isOver = false;
  let isStopped = false;
  let sweeper: NodeJS.Timeout | undefined;

  function changed(): void {
    for (const listener of listeners) listener();
  }

  function weigh(): void {
    const share = isOver ? 0.75 : 1;
    const over = all.size > limits.maxUnacknowledgedMessages * share || bytes > limits.maxUnacknowledgedBytes * share;
    if (over === isOver) return;
    isOver = over;
    changed();
  }

  function pump(): void {
    if (isRefused || !link.isUp) return;
    while (sent < window && sentBytes < maxWindowBytes) {
      const next = takeOldest();
      if (next === undefined || !send(next)) return;
    }
  }

  function send(pending: Pending): boolean {
    let isSent = false;
    try {
      isSent = link.publish(pending.subject, pending.payload, inbox + pending.number, pending.headers);
    } catch (err) {
      // A server with a smaller limit than the one that was known when it was accepted.
      if (!(err instanceof HydrogenError)) throw err;
      end(pending, err);
      return true;
    }
    if (!isSent) {
      putBack([pending]);
      return false;
    }
    pending.state = 'sent';
    pending.sentAtMs = performance.now();
    sent++;
    sentBytes += pending.bytes;
    sentOrder.push(pending);
    return true;
  }

  function unsend(pending: Pending): void {
    if (pending.state !== 'sent') return;
    pending.state = 'unsent';
    sent--;
    sentBytes -= pending.bytes;
  }

  function end(pending: Pending, error?: HydrogenError): void {
    unsend(pending);
    pending.state = 'done';
    pending.payload = nothing;
    all.delete(pending.number);
    bytes -= pending.bytes;
    if (!isStopped) moveUp(pending.connectionId);
    if (error === undefined) pending.resolve();
    else pending.reject(error);
    if (isOver) weigh();
    if (all.size > 0) return;
    clearInterval(sweeper);
    sweeper = undefined;
    for (const done of flushed) done();
  }

  /** True when it is first in its connection's line, and so may be sent. */
  function standInLine(pending: Pending): boolean {
    const { connectionId } = pending;
    if (!lines.has(connectionId)) {
      lines.set(connectionId, undefined);
      fresh.push(pending);
      return true;
    }
    const line = lines.get(connectionId) ?? new Fifo<Pending>();
    lines.set(connectionId, line);
    line.push(pending);
    return false;
  }

  function moveUp(connectionId: string): void {
    const next = lines.get(connectionId)?.shift();
    if (next === undefined) lines.delete(connectionId);
    else fresh.push(next);
  }

  function refuse(pending: Pending): void {
    unsend(pending);
    putBack([pending]);
    window = cautiousWindow;
    if (probe === pending || !isRefused) schedule();
    if (isRefused) return;
    isRefused = true;
    changed();
  }

  function putBack(pendings: readonly Pending[]): void {
    returned.push(...pendings);
    isSorted = false;
  }

  /** The oldest that is not sent: what came back is older than what was never sent. */
  function takeOldest(): Pending | undefined {
    if (!isSorted) returned.sort((a, b) => a.number - b.number);
    isSorted = true;
    for (;;) {
      const oldest = returned.length > 0 ? returned.shift() : fresh.shift();
      if (oldest === undefined || oldest.state === 'unsent') return oldest;
    }
  }

  function schedule(): void {
    probe = undefined;
    clearTimeout(probeTimer);
    probeTimer = setTimeout(
      () => {
        if (!link.isUp) return;
        probe = takeOldest();
        if (probe !== undefined) send(probe);
        if (probe === undefined || probe.state === 'done') resume();
      },
      probeDelayMs * (0.75 + Math.random() / 4),
    );
    probeDelayMs = Math.min(maxProbeMs, probeDelayMs * 2);
  }

  function resume(): void {
    clearTimeout(probeTimer);
    probe = undefined;
    probeDelayMs = firstProbeMs;
    if (isRefused) {
      isRefused = false;
      changed();
    }
    pump();
  }

  function hear(msg: Msg): void {
    const pending = all.get(Number(msg.subject.slice(inbox.length)));
    if (pending === undefined) return;
    const verdict = judgeAck(msg.data, accepted);
    if (verdict === 'stored') conclude(pending);
    else if (verdict === 'large') conclude(pending, new HydrogenError('HYD_MESSAGE_TOO_LARGE', 'for the stream'));
    else if (pending.state === 'sent') refuse(pending);
  }

  function conclude(pending: Pending, error?: HydrogenError): void {
    const isProbe = pending === probe;
    end(pending, error);
    if (window < maxWindow) window++;
    if (isProbe) resume();
    else if (returned.length > 0 || fresh.length > 0) pump();
  }

  // An acknowledgement that does not come is like a refusal: more of the same would only add to the load.
  function sweep(): void {
    const before = performance.now() - ackTimeoutMs;
    for (let oldest = sentOrder.peek(); oldest !== undefined; oldest = sentOrder.peek()) {
      if (oldest.state === 'sent' && oldest.sentAtMs > before) return;
      sentOrder.shift();
      if (oldest.state === 'sent') refuse(oldest);
    }
  }

  link.subscribe(`${inbox}*`, hear);
  link.onStatus((status) => {
    const unanswered = sentOrder.drain().filter((pending) => pending.state === 'sent');
    for (const pending of unanswered) unsend(pending);
    putBack(unanswered);
    if (status === 'up') resume();
  });

  return {
    get unacknowledged() {
      return { messages: all.size, bytes };
    },
    get isPressed() {
      return isRefused || isOver;
    },
    onChange: (listener) => void listeners.push(listener),
    store: ({ subject, headers, payload, connectionId }) =>
      new Promise((resolve, reject) => {
        if (isStopped) {
          reject(new HydrogenError('HYD_BUS_STOPPED'));
          return;
        }
        const pending: Pending = {
          number: ++lastNumber,
          subject,
          headers,
          connectionId,
          bytes: payload.byteLength,
          payload,
          state: 'unsent',
          sentAtMs: 0,
          resolve,
          reject,
        };
        all.set(pending.number, pending);
        bytes += pending.bytes;
        sweeper ??= setInterval(sweep, sweepMs);
        if (standInLine(pending)) pump();
        if (!isOver) weigh();
      }),
    flush: async (timeoutMs) => {
      if (all.size > 0) {
        await new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timer);
            flushed.delete(done);
            resolve();
          };
          const timer = setTimeout(done, timeoutMs);
          flushed.add(done);
        });
      }
      return [...new Set(Array.from(all.values(), (pending) => pending.connectionId))];
    },
    stop: () => {
      isStopped = true;
      clearTimeout(probeTimer);
      for (const pending of all.values()) end(pending, new HydrogenError('HYD_BUS_STOPPED'));
    },
  };
}
