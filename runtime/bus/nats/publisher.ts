/**
 * Stores client messages in one stream. A message is unacknowledged until the stream acknowledges it, or the entry that
 * holds it, under its own id: it is sent again, in order, when no acknowledgement arrives, when the stream refuses it, and
 * on a new connection. While the stream refuses, only the oldest is tried, with back-off; then the rest follows, a few at
 * first.
 *
 * Each line (see lines.ts) has one message of the stream in flight: with two, the stream could refuse the first and take
 * the second, and no consumer could restore their order. What arrives meanwhile goes into the next entry.
 *
 * This file is long because every step of a message updates the same counters, which are only consistent together.
 */

import type { Msg } from 'nats';
import { sleep } from '../../../process/timing.ts';
import { formAtTurnEnd } from '../../../process/turn.ts';
import { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import type { ClientMessage } from '../port/client-message.ts';
import { defaultPublishLimits, type PublishLimits, type Unacknowledged } from '../port/pressure.ts';
import type { Link } from './connection.ts';
import type { Line, Lines, Outgoing, PublishForms, Waiting } from './lines.ts';
import { Patience } from './patience.ts';
import { Window } from './window.ts';
import { judgeAck, storedSequence } from './wire.ts';

const sweepMs = 250;
const firstProbeMs = 50;
const maxProbeMs = 2000;
const settlePollMs = 10;
const nothing = new Uint8Array(0);

export class Publisher {
  readonly #link: Link;
  readonly #limits: PublishLimits;
  /** Acknowledgements arrive at this prefix followed by a number. */
  readonly #inbox: string;
  /** The first bytes of this stream's acknowledgements. */
  readonly #accepted: Uint8Array;
  readonly #onChange: () => void;
  readonly #forms: PublishForms;
  readonly #lines: Lines;
  /** What was formed and is not stored, by its number. */
  readonly #unstored = new Map<number, Outgoing>();
  /** Lines with something to send and nothing in flight. */
  readonly #ready = new Fifo<Line>();
  /** To be sent again; older than everything in `#ready`. */
  readonly #returned: Outgoing[] = [];
  #isSorted = true;
  /** What nobody would get at the moment. */
  #uncoveredLines: Line[] = [];
  #uncovered: Outgoing[] = [];
  readonly #sentOrder = new Fifo<Outgoing>();
  readonly #flushed = new Set<() => void>();
  /** `refused`: the stream accepts nothing for now, and only the probe is tried. */
  #state: 'flowing' | 'refused' | 'stopped' = 'flowing';
  #isOverLimits = false;
  #messages = 0;
  #bytes = 0;
  readonly #window = new Window();
  readonly #patience = new Patience();
  #isPumping = false;
  #probe: Outgoing | undefined;
  #probeTimer: NodeJS.Timeout | undefined;
  #probeDelayMs = firstProbeMs;
  #sweeper: NodeJS.Timeout | undefined;

  /**
   * @param kind one letter that keeps the acknowledgements of several publishers on one link apart
   * @param forms asked before each attempt; a message that would not be kept waits for `cover`
   * @param onChange called when `isPressed` may have changed
   */
  constructor(
    link: Link,
    kind: string,
    stream: string,
    lines: Lines,
    forms: PublishForms,
    onChange: () => void,
    limits: PublishLimits = defaultPublishLimits,
  ) {
    this.#link = link;
    this.#limits = limits;
    this.#inbox = `${link.inbox}.${kind}.`;
    this.#accepted = Buffer.from(`{"stream":"${stream}","seq":`);
    this.#lines = lines;
    this.#forms = forms;
    this.#onChange = onChange;
    link.subscribe(`${this.#inbox}*`, (msg) => this.#onAck(msg));
    link.onStatus((status) => {
      const unanswered = this.#sentOrder.drain().filter((outgoing) => outgoing.state === 'sent');
      for (const outgoing of unanswered) {
        this.#unsend(outgoing);
        outgoing.firstSentAtMs = 0;
      }
      this.#putBack(unanswered);
      if (status === 'up') this.#resume();
    });
  }

  get unacknowledged(): Unacknowledged {
    return { messages: this.#messages, bytes: this.#bytes };
  }

  /** True while the stream refuses or too much is unacknowledged. */
  get isPressed(): boolean {
    return this.#state === 'refused' || this.#isOverLimits;
  }

  /**
   * Resolves when the stream has stored it, with its position; 0 when it is stored by itself. Not async, so that a message
   * costs one promise. The message must have been checked.
   * @throws {HydrogenError} as a rejection: HYD_MESSAGE_TOO_LARGE, HYD_BUS_STOPPED
   */
  publish(message: ClientMessage, isApart: boolean): Promise<number> {
    const { id, connectionId, endpoint, callbackUrl, payload } = message;
    return new Promise((resolve, reject) => {
      this.#add({ id, connectionId, endpoint, callbackUrl, payload, isApart, fixed: undefined, resolve, reject });
    });
  }

  /**
   * The same for a message that is stored by itself, with these headers: a complete block with an id, so that a second
   * attempt is recognised.
   */
  store(subject: string, headers: string, message: ClientMessage): Promise<number> {
    const { id, connectionId, endpoint, callbackUrl, payload } = message;
    return new Promise((resolve, reject) => {
      const fixed = { subject, headers };
      this.#add({ id, connectionId, endpoint, callbackUrl, payload, isApart: false, fixed, resolve, reject });
    });
  }

  /**
   * Waits up to `timeoutMs` for everything unacknowledged; resolves with the connections whose messages are still
   * unacknowledged.
   */
  async flush(timeoutMs: number): Promise<string[]> {
    if (this.#messages > 0) {
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
    return this.#lines.connectionIds;
  }

  /** Coverage may have changed: tries what waits for it. */
  cover(): void {
    if (this.#uncovered.length === 0 && this.#uncoveredLines.length === 0) return;
    this.#putBack(this.#uncovered);
    for (const line of this.#uncoveredLines) this.#ready.push(line);
    this.#uncovered = [];
    this.#uncoveredLines = [];
    this.#schedule();
  }

  /** Resolves when nothing that is in flight now still is, or after `timeoutMs`. */
  async settle(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const sent = Array.from(this.#unstored.values()).filter((outgoing) => outgoing.state === 'sent');
    while (sent.some((outgoing) => outgoing.state === 'sent') && performance.now() < deadlineMs)
      await sleep(settlePollMs);
  }

  stop(): void {
    this.#state = 'stopped';
    clearTimeout(this.#probeTimer);
    clearInterval(this.#sweeper);
    this.#unstored.clear();
    this.#messages = 0;
    this.#bytes = 0;
    for (const { reject } of this.#lines.drain()) reject(new HydrogenError('HYD_BUS_STOPPED'));
    for (const done of this.#flushed) done();
  }

  #add(message: Waiting): void {
    if (this.#state === 'stopped') {
      message.reject(new HydrogenError('HYD_BUS_STOPPED'));
      return;
    }
    this.#messages += 1;
    this.#bytes += message.payload.byteLength;
    this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs);
    this.#makeReady(this.#lines.add(message));
    if (!this.#isOverLimits) this.#weigh();
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
    const isOver = this.#messages > maxUnacknowledgedMessages * share || this.#bytes > maxUnacknowledgedBytes * share;
    if (isOver === this.#isOverLimits) return;
    this.#isOverLimits = isOver;
    this.#onChange();
  }

  #makeReady(line: Line | undefined): void {
    if (line === undefined || line.isReady || line.inFlight !== undefined) return;
    line.isReady = true;
    this.#ready.push(line);
    this.#schedule();
  }

  // Behind everything that arrives in this turn of the event loop, so that it goes together.
  #schedule(): void {
    if (this.#isPumping || this.#state !== 'flowing') return;
    this.#isPumping = true;
    formAtTurnEnd(this.#pump);
  }

  readonly #pump = (): void => {
    this.#isPumping = false;
    if (this.#state !== 'flowing' || !this.#link.isUp) return;
    while (this.#window.isOpen) {
      const next = this.#takeOldest();
      if (next === undefined || !this.#send(next)) return;
    }
  };

  #send(outgoing: Outgoing): boolean {
    const { subject, payload, number, headers } = outgoing;
    let isSent = false;
    try {
      isSent = this.#link.publish(subject, payload, this.#inbox + number, headers);
    } catch (err) {
      // The server's limit is smaller than the one known when the message was accepted.
      if (!(err instanceof HydrogenError)) throw err;
      this.#tooLarge(outgoing, err);
      return true;
    }
    if (!isSent) {
      this.#putBack([outgoing]);
      return false;
    }
    outgoing.sentAtMs = performance.now();
    if (outgoing.firstSentAtMs === 0) outgoing.firstSentAtMs = outgoing.sentAtMs;
    this.#await(outgoing);
    return true;
  }

  /** An acknowledgement of it may still arrive: that of another one came late, and this one was given up too early. */
  #isAwaited({ firstSentAtMs, sentAtMs }: Outgoing): boolean {
    return firstSentAtMs !== 0 && performance.now() - sentAtMs < this.#patience.ms;
  }

  #await(outgoing: Outgoing): void {
    outgoing.state = 'sent';
    this.#window.take(outgoing.bytes);
    this.#sentOrder.push(outgoing);
  }

  #unsend(outgoing: Outgoing): void {
    if (outgoing.state !== 'sent') return;
    outgoing.state = 'unsent';
    this.#window.free(outgoing.bytes);
  }

  /** It is no longer on its way, in this form: its messages have ended, or go on in another one. */
  #forget(outgoing: Outgoing): void {
    this.#unsend(outgoing);
    outgoing.state = 'done';
    outgoing.payload = nothing;
    this.#unstored.delete(outgoing.number);
  }

  /** The stream will not take it. Each of its messages may be smaller. */
  #tooLarge(outgoing: Outgoing, error: HydrogenError): void {
    if (outgoing.messages.length === 1) {
      this.#end(outgoing, ({ reject }) => reject(error));
      return;
    }
    this.#forget(outgoing);
    this.#lines.split(outgoing);
    outgoing.messages = [];
    this.#makeReady(outgoing.line);
  }

  #end(outgoing: Outgoing, settle: (message: Waiting) => void): void {
    const { line, messages } = outgoing;
    this.#forget(outgoing);
    line.inFlight = undefined;
    for (const message of messages) {
      this.#messages -= 1;
      this.#bytes -= message.payload.byteLength;
      this.#makeReady(this.#lines.remove(message));
    }
    if (this.#lines.isEmpty(line)) this.#lines.tidy(line);
    else this.#makeReady(line);
    for (const message of messages) settle(message);
    outgoing.messages = [];
    if (this.#isOverLimits) this.#weigh();
    if (this.#messages > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    for (const done of this.#flushed) done();
  }

  #refuse(outgoing: Outgoing): void {
    this.#unsend(outgoing);
    this.#putBack([outgoing]);
    this.#window.refused();
    if (this.#probe === outgoing || this.#state === 'flowing') this.#scheduleProbe();
    this.#become('refused');
  }

  #putBack(outgoing: readonly Outgoing[]): void {
    this.#returned.push(...outgoing);
    this.#isSorted = false;
  }

  /** What is oldest and not sent: what was returned is older than what was never sent. */
  #takeOldest(): Outgoing | undefined {
    if (!this.#isSorted) this.#returned.sort((a, b) => a.number - b.number);
    this.#isSorted = true;
    for (;;) {
      const returned = this.#returned.shift();
      const next = returned === undefined ? this.#form() : this.#again(returned);
      if (next !== 'nothing') return next;
    }
  }

  /** Something that was sent before, if it may be sent as it is. */
  #again(outgoing: Outgoing): Outgoing | 'nothing' {
    if (outgoing.state !== 'unsent') return 'nothing';
    if (this.#isAwaited(outgoing)) {
      this.#await(outgoing);
      return 'nothing';
    }
    const { kind, endpoint } = outgoing.line;
    const form = this.#forms.formOf(endpoint);
    if (kind === 'single' ? form !== undefined : this.#forms.keepsEntries(endpoint)) return outgoing;
    // Nobody keeps entries any more. If this one was stored, its messages are stored twice.
    if (form !== undefined) this.#dissolve(outgoing.line);
    else this.#uncovered.push(outgoing);
    return 'nothing';
  }

  /** The next of the lines; undefined when there is none. */
  #form(): Outgoing | 'nothing' | undefined {
    const line = this.#ready.shift();
    if (line === undefined) return undefined;
    const form = this.#forms.formOf(line.endpoint);
    if (form === undefined) {
      this.#uncoveredLines.push(line);
      return 'nothing';
    }
    line.isReady = false;
    if (line.inFlight !== undefined) return 'nothing';
    if (line.kind !== 'single' && form === 'single') {
      this.#dissolve(line);
      return 'nothing';
    }
    const outgoing = this.#lines.next(line);
    if (outgoing === undefined) return 'nothing';
    this.#unstored.set(outgoing.number, outgoing);
    return outgoing;
  }

  #dissolve(line: Line): void {
    const { inFlight } = line;
    if (inFlight !== undefined) this.#forget(inFlight);
    for (const own of this.#lines.dissolve(line)) this.#makeReady(own);
    if (inFlight !== undefined) inFlight.messages = [];
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
    this.#schedule();
  }

  #onAck(msg: Msg): void {
    const outgoing = this.#unstored.get(Number(msg.subject.slice(this.#inbox.length)));
    if (outgoing === undefined) return;
    const verdict = judgeAck(msg.data, this.#accepted);
    if (verdict === 'stored') this.#stored(outgoing, storedSequence(msg.data, this.#accepted));
    else if (verdict === 'large') this.#conclude(outgoing, () => this.#tooLarge(outgoing, tooLargeForStream()));
    else if (outgoing.state === 'sent') {
      outgoing.firstSentAtMs = 0;
      this.#refuse(outgoing);
    }
  }

  #stored(outgoing: Outgoing, sequence: number): void {
    this.#patience.answered(performance.now() - outgoing.firstSentAtMs);
    const position = outgoing.line.kind === 'single' ? 0 : sequence;
    this.#conclude(outgoing, () => this.#end(outgoing, ({ resolve }) => resolve(position)));
  }

  #conclude(outgoing: Outgoing, act: () => void): void {
    const isProbe = outgoing === this.#probe;
    act();
    this.#window.stored();
    if (isProbe) this.#resume();
    else if (this.#returned.length > 0 || this.#ready.length > 0) this.#schedule();
  }

  // A missing acknowledgement counts as a refusal: sending more would only add to the load.
  #sweep(): void {
    const before = performance.now() - this.#patience.ms;
    for (let oldest = this.#sentOrder.peek(); oldest !== undefined; oldest = this.#sentOrder.peek()) {
      if (oldest.state === 'sent' && oldest.sentAtMs > before) return;
      this.#sentOrder.shift();
      if (oldest.state === 'sent') this.#refuse(oldest);
    }
  }
}

function tooLargeForStream(): HydrogenError {
  return new HydrogenError('HYD_MESSAGE_TOO_LARGE', 'for the stream');
}
