/**
 * Stores messages in one stream. A message is unacknowledged until the stream acknowledges it under its own id: it is
 * sent again, in order, when no acknowledgement arrives, when the stream refuses it, and on a new connection. While the
 * stream refuses, only the oldest message is tried, with back-off; then the rest follows, a few at first.
 *
 * Only one message of each connection is in flight at a time: with two, the stream could refuse the first and take the
 * second, and no consumer could restore their order. A connection therefore sends at most one message per round trip.
 *
 * This file is long because every step of a message updates the same counters, which are only consistent together.
 */

import type { Msg } from 'nats';
import { sleep } from '../../../process/timing.ts';
import { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import { defaultPublishLimits, type PublishLimits, type Unacknowledged } from '../port/pressure.ts';
import type { Link } from './connection.ts';
import { judgeAck } from './wire.ts';

interface Pending {
  readonly number: number;
  readonly subject: string;
  readonly headers: string;
  readonly connectionId: string;
  readonly endpoint: string;
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
const settlePollMs = 10;
const nothing = new Uint8Array(0);

export class Publisher {
  readonly #link: Link;
  readonly #limits: PublishLimits;
  /** Acknowledgements arrive at this prefix followed by the number of the message. */
  readonly #inbox: string;
  /** The first bytes of this stream's acknowledgements. */
  readonly #accepted: Uint8Array;
  readonly #onChange: () => void;
  readonly #isCovered: (endpoint: string) => boolean;
  readonly #all = new Map<number, Pending>();
  /** Messages that are first of their connection and were never sent. */
  readonly #fresh = new Fifo<Pending>();
  /** Messages to be sent again; older than everything in `#fresh`. */
  readonly #returned: Pending[] = [];
  #isSorted = true;
  /** Messages that nobody would get at the moment. */
  #uncovered: Pending[] = [];
  readonly #sentOrder = new Fifo<Pending>();
  /** Connections with a message in flight, and the messages that wait behind it. */
  readonly #lines = new Map<string, Fifo<Pending> | undefined>();
  readonly #flushed = new Set<() => void>();
  /** `refused`: the stream accepts nothing for now, and only the probe is tried. */
  #state: 'flowing' | 'refused' | 'stopped' = 'flowing';
  #isOverLimits = false;
  #lastNumber = 0;
  #bytes = 0;
  #sent = 0;
  #sentBytes = 0;
  #window = maxWindow;
  #probe: Pending | undefined;
  #probeTimer: NodeJS.Timeout | undefined;
  #probeDelayMs = firstProbeMs;
  #sweeper: NodeJS.Timeout | undefined;

  /**
   * @param kind one letter that keeps the acknowledgements of several publishers on one link apart
   * @param onChange called when `isPressed` may have changed
   * @param isCovered asked before each attempt; a message to an endpoint that is not covered waits for `cover`
   */
  constructor(
    link: Link,
    kind: string,
    stream: string,
    onChange: () => void,
    limits: PublishLimits = defaultPublishLimits,
    isCovered: (endpoint: string) => boolean = () => true,
  ) {
    this.#link = link;
    this.#limits = limits;
    this.#inbox = `${link.inbox}.${kind}.`;
    this.#accepted = Buffer.from(`{"stream":"${stream}","seq":`);
    this.#onChange = onChange;
    this.#isCovered = isCovered;
    link.subscribe(`${this.#inbox}*`, (msg) => this.#onAck(msg));
    link.onStatus((status) => {
      const unanswered = this.#sentOrder.drain().filter((pending) => pending.state === 'sent');
      for (const pending of unanswered) this.#unsend(pending);
      this.#putBack(unanswered);
      if (status === 'up') this.#resume();
    });
  }

  get unacknowledged(): Unacknowledged {
    return { messages: this.#all.size, bytes: this.#bytes };
  }

  /** True while the stream refuses or too much is unacknowledged. */
  get isPressed(): boolean {
    return this.#state === 'refused' || this.#isOverLimits;
  }

  /**
   * Resolves when the stream has stored it. Not async, so that a message costs one promise.
   * @param headers a complete block with an id, so that a second attempt is recognised
   * @throws {HydrogenError} as a rejection: HYD_MESSAGE_TOO_LARGE, HYD_BUS_STOPPED
   */
  store(subject: string, headers: string, payload: Uint8Array, connectionId: string, endpoint = ''): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'stopped') {
        reject(new HydrogenError('HYD_BUS_STOPPED'));
        return;
      }
      const pending: Pending = {
        number: ++this.#lastNumber,
        subject,
        headers,
        connectionId,
        endpoint,
        bytes: payload.byteLength,
        payload,
        state: 'unsent',
        sentAtMs: 0,
        resolve,
        reject,
      };
      this.#all.set(pending.number, pending);
      this.#bytes += pending.bytes;
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs);
      if (this.#standInLine(pending)) this.#pump();
      if (!this.#isOverLimits) this.#weigh();
    });
  }

  /**
   * Waits up to `timeoutMs` for everything unacknowledged; resolves with the connections whose messages are still
   * unacknowledged.
   */
  async flush(timeoutMs: number): Promise<string[]> {
    if (this.#all.size > 0) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#flushed.delete(done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        this.#flushed.add(done);
      });
    }
    return [...new Set(Array.from(this.#all.values(), (pending) => pending.connectionId))];
  }

  /** Coverage may have changed: tries the messages that wait for it. */
  cover(): void {
    if (this.#uncovered.length === 0) return;
    this.#putBack(this.#uncovered);
    this.#uncovered = [];
    this.#pump();
  }

  /** Resolves when no message that is in flight now still is, or after `timeoutMs`. */
  async settle(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const sent = Array.from(this.#all.values()).filter((pending) => pending.state === 'sent');
    while (sent.some((pending) => pending.state === 'sent') && performance.now() < deadlineMs)
      await sleep(settlePollMs);
  }

  stop(): void {
    this.#state = 'stopped';
    clearTimeout(this.#probeTimer);
    for (const pending of this.#all.values()) this.#end(pending, new HydrogenError('HYD_BUS_STOPPED'));
  }

  #become(state: 'flowing' | 'refused'): void {
    if (this.#state === state || this.#state === 'stopped') return;
    this.#state = state;
    this.#onChange();
  }

  #weigh(): void {
    const { maxUnacknowledgedMessages, maxUnacknowledgedBytes } = this.#limits;
    // Hysteresis, so that pressure does not change with every message.
    const share = this.#isOverLimits ? 0.75 : 1;
    const isOver = this.#all.size > maxUnacknowledgedMessages * share || this.#bytes > maxUnacknowledgedBytes * share;
    if (isOver === this.#isOverLimits) return;
    this.#isOverLimits = isOver;
    this.#onChange();
  }

  #pump(): void {
    if (this.#state !== 'flowing' || !this.#link.isUp) return;
    while (this.#sent < this.#window && this.#sentBytes < maxWindowBytes) {
      const next = this.#takeOldest();
      if (next === undefined || !this.#send(next)) return;
    }
  }

  #send(pending: Pending): boolean {
    let isSent = false;
    try {
      isSent = this.#link.publish(pending.subject, pending.payload, this.#inbox + pending.number, pending.headers);
    } catch (err) {
      // The server's limit is smaller than the one known when the message was accepted.
      if (!(err instanceof HydrogenError)) throw err;
      this.#end(pending, err);
      return true;
    }
    if (!isSent) {
      this.#putBack([pending]);
      return false;
    }
    pending.state = 'sent';
    pending.sentAtMs = performance.now();
    this.#sent++;
    this.#sentBytes += pending.bytes;
    this.#sentOrder.push(pending);
    return true;
  }

  #unsend(pending: Pending): void {
    if (pending.state !== 'sent') return;
    pending.state = 'unsent';
    this.#sent--;
    this.#sentBytes -= pending.bytes;
  }

  #end(pending: Pending, error?: HydrogenError): void {
    this.#unsend(pending);
    pending.state = 'done';
    pending.payload = nothing;
    this.#all.delete(pending.number);
    this.#bytes -= pending.bytes;
    if (this.#state !== 'stopped') this.#moveUp(pending.connectionId);
    if (error === undefined) pending.resolve();
    else pending.reject(error);
    if (this.#isOverLimits) this.#weigh();
    if (this.#all.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    for (const done of this.#flushed) done();
  }

  /** True when it is first in its connection's line, and so may be sent. */
  #standInLine(pending: Pending): boolean {
    const { connectionId } = pending;
    if (!this.#lines.has(connectionId)) {
      this.#lines.set(connectionId, undefined);
      this.#fresh.push(pending);
      return true;
    }
    const line = this.#lines.get(connectionId) ?? new Fifo<Pending>();
    this.#lines.set(connectionId, line);
    line.push(pending);
    return false;
  }

  #moveUp(connectionId: string): void {
    const next = this.#lines.get(connectionId)?.shift();
    if (next === undefined) this.#lines.delete(connectionId);
    else this.#fresh.push(next);
  }

  #refuse(pending: Pending): void {
    this.#unsend(pending);
    this.#putBack([pending]);
    this.#window = cautiousWindow;
    if (this.#probe === pending || this.#state === 'flowing') this.#scheduleProbe();
    this.#become('refused');
  }

  #putBack(pendings: readonly Pending[]): void {
    this.#returned.push(...pendings);
    this.#isSorted = false;
  }

  /** The oldest unsent message: returned ones are older than those never sent. */
  #takeOldest(): Pending | undefined {
    if (!this.#isSorted) this.#returned.sort((a, b) => a.number - b.number);
    this.#isSorted = true;
    for (;;) {
      const oldest = this.#returned.length > 0 ? this.#returned.shift() : this.#fresh.shift();
      if (oldest === undefined) return undefined;
      if (oldest.state !== 'unsent') continue;
      if (this.#isCovered(oldest.endpoint)) return oldest;
      this.#uncovered.push(oldest);
    }
  }

  #scheduleProbe(): void {
    this.#probe = undefined;
    clearTimeout(this.#probeTimer);
    this.#probeTimer = setTimeout(() => this.#sendProbe(), this.#probeDelayMs * (0.75 + Math.random() / 4));
    this.#probeDelayMs = Math.min(maxProbeMs, this.#probeDelayMs * 2);
  }

  #sendProbe(): void {
    if (!this.#link.isUp) return;
    this.#probe = this.#takeOldest();
    if (this.#probe !== undefined) this.#send(this.#probe);
    if (this.#probe === undefined || this.#probe.state === 'done') this.#resume();
  }

  #resume(): void {
    clearTimeout(this.#probeTimer);
    this.#probe = undefined;
    this.#probeDelayMs = firstProbeMs;
    this.#become('flowing');
    this.#pump();
  }

  #onAck(msg: Msg): void {
    const pending = this.#all.get(Number(msg.subject.slice(this.#inbox.length)));
    if (pending === undefined) return;
    const verdict = judgeAck(msg.data, this.#accepted);
    if (verdict === 'stored') this.#conclude(pending);
    else if (verdict === 'large') this.#conclude(pending, new HydrogenError('HYD_MESSAGE_TOO_LARGE', 'for the stream'));
    else if (pending.state === 'sent') this.#refuse(pending);
  }

  #conclude(pending: Pending, error?: HydrogenError): void {
    const isProbe = pending === this.#probe;
    this.#end(pending, error);
    if (this.#window < maxWindow) this.#window++;
    if (isProbe) this.#resume();
    else if (this.#returned.length > 0 || this.#fresh.length > 0) this.#pump();
  }

  // A missing acknowledgement counts as a refusal: sending more would only add to the load.
  #sweep(): void {
    const before = performance.now() - ackTimeoutMs;
    for (let oldest = this.#sentOrder.peek(); oldest !== undefined; oldest = this.#sentOrder.peek()) {
      if (oldest.state === 'sent' && oldest.sentAtMs > before) return;
      this.#sentOrder.shift();
      if (oldest.state === 'sent') this.#refuse(oldest);
    }
  }
}
