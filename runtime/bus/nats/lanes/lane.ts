/**
 * A lane that belongs to this replica: its consumer, from which nobody else may pull, and the messages that are open.
 *
 * The server numbers what it delivers to a consumer. A gap means that something was sent and did not arrive (the connection
 * or a server broke), and what follows would overtake it: the lane takes no more and needs another consumer, a *retake*, that
 * begins with the first message that is not acknowledged. What is open then stays open, and is recognised by its sequence
 * when it is delivered again, as is what has ended and whose acknowledgement was lost.
 */

import type { Msg } from 'nats';
import type { Acks } from '../acks.ts';
import type { Link } from '../connection.ts';
import type { KnownConsumer } from '../consumer-view.ts';
import type { NatsDelivery } from '../delivery.ts';
import { createPuller, type Puller } from '../pull.ts';
import { type AckSubject, headerNames, headerValue, statusCodeOf } from '../wire.ts';
import type { Inheritance } from './inheritance.ts';
import { LaneDelivery, type LaneOfDelivery } from './lane-delivery.ts';
import { OpenMessages } from './open-messages.ts';
import type { LaneRecord } from './owner-record.ts';
import { Suspects } from './suspects.ts';

export interface LaneDeps {
  readonly link: Link;
  readonly acks: Acks;
  readonly stream: string;
  /** Subject prefix of its inboxes, without the final dot. */
  readonly inbox: string;
  /** Bytes that one request may bring. */
  readonly maxBytes: number;
  /** True while this replica's lease is held. */
  mayBegin(): boolean;
  /** How many messages of the stream it may request. */
  room(): number;
  /** Resolves once what is known now of this replica's lanes is stored. */
  saved(): Promise<void>;
  /** The payload of a message that the stream stores. @param index its place in an entry */
  read(sequence: number, index: number | undefined): ReturnType<LaneOfDelivery['read']>;
  arrived(delivery: LaneDelivery): void;
  ended(delivery: LaneDelivery): void;
  /** It has become doubtful. */
  doubted(): void;
}

const acked = Buffer.from('+ACK');

export class Lane implements LaneOfDelivery {
  readonly number: number;
  readonly #deps: LaneDeps;
  readonly #open: OpenMessages;
  readonly #timers = new Set<NodeJS.Timeout>();
  #onIdle: (() => void)[] = [];
  readonly #inheritance: Inheritance;
  readonly #suspects: Suspects;
  #consumer: string;
  #puller: Puller;
  /** Number of the last delivery of the consumer. */
  #last = 0;
  /** What the server had acknowledged up to at the last audit. */
  #auditedFloor = -1;
  /** `doubtful`: it needs a look at the server, and maybe a retake. `releasing`: nothing new begins. `gone`: it is another's. */
  #state: 'flowing' | 'doubtful' | 'releasing' | 'gone' = 'flowing';

  /** @param ended sequences of messages that have ended at the owner before */
  constructor(number: number, consumer: string, inheritance: Inheritance, ended: readonly number[], deps: LaneDeps) {
    this.#open = new OpenMessages(ended);
    this.number = number;
    this.#deps = deps;
    this.#consumer = consumer;
    this.#inheritance = inheritance;
    this.#suspects = new Suspects(inheritance.lastMark, deps.saved, deps.arrived);
    this.#puller = this.#createPuller();
  }

  get consumer(): string {
    return this.#consumer;
  }

  get isDoubtful(): boolean {
    return this.#state === 'doubtful';
  }

  get isReleasing(): boolean {
    return this.#state === 'releasing';
  }

  get mayBegin(): boolean {
    return (this.#state === 'flowing' || this.#state === 'doubtful') && this.#deps.mayBegin();
  }

  /** Messages of the stream that are open. */
  get open(): number {
    return this.#open.size;
  }

  /** Client messages that are open. */
  get messages(): number {
    return this.#open.messages;
  }

  /** What the next owner has to know. */
  record(isReleased: boolean): LaneRecord {
    return this.#open.record(isReleased, this.#inheritance);
  }

  pull(): void {
    if (this.#state === 'flowing') this.#puller.pull(this.#deps.room());
  }

  /** Takes what the server sent to the inbox of this lane. @param read undefined when there is nothing to deliver */
  onMessage(ack: AckSubject, reply: string, read: () => readonly NatsDelivery[] | undefined): void {
    if (ack.consumer !== this.#consumer || this.#state !== 'flowing') return;
    this.#puller.onMessage();
    if (ack.consumerSequence > this.#last + 1) {
      this.doubt();
      return;
    }
    this.#last = Math.max(this.#last, ack.consumerSequence);
    const known = this.#open.recognise(ack.streamSequence, reply);
    if (known === 'ended') this.#deps.acks.end(reply, acked);
    if (known === undefined) this.#take(ack.streamSequence, reply, read() ?? []);
    this.pull();
  }

  #take(sequence: number, reply: string, messages: readonly NatsDelivery[]): void {
    const left = this.#inheritance.leftOf(sequence);
    const deliveries: LaneDelivery[] = [];
    for (const [at, message] of messages.entries()) {
      if (left?.has(at) === false) continue;
      const index = message.isShared ? at : undefined;
      const attempt = this.#inheritance.attemptOf(sequence, index, message.connectionId);
      deliveries.push(new LaneDelivery(message, sequence, index, attempt, this));
    }
    if (deliveries.length === 0) {
      if (messages.length > 0) this.#deps.acks.end(reply, acked);
      return;
    }
    this.#open.add(sequence, reply, messages.length, deliveries);
    for (const delivery of deliveries) this.#suspects.arrived(delivery);
  }

  /** Takes a status that the server sent to the inbox of this lane. */
  onStatus(msg: Msg, block: string): void {
    if (msg.subject !== this.#inbox || this.#state !== 'flowing') return;
    const last = Number(headerValue(block, headerNames.lastConsumer) ?? 0);
    const isBehind = statusCodeOf(block) === 100 && last > this.#last;
    if (!isBehind && this.#puller.onStatus(block) === undefined) this.pull();
    else this.doubt();
  }

  /** Treats what was requested as lost. */
  doubt(): void {
    if (this.#state !== 'flowing') return;
    this.#state = 'doubtful';
    this.#puller.forget();
    this.#deps.doubted();
  }

  isSilent(nowMs: number): boolean {
    return this.#state === 'flowing' && this.#puller.isSilent(nowMs);
  }

  /** Goes on if nothing that was delivered or acknowledged has been lost. @returns false when it has */
  resume({ delivered, num_ack_pending: pending }: KnownConsumer): boolean {
    if (delivered.consumer_seq !== this.#last || pending !== this.#open.size) return false;
    this.#flow();
    return true;
  }

  /** Finds acknowledgements that were lost without a sign: call it now and then with the state of its consumer. */
  audit({ ack_floor, num_ack_pending: pending }: KnownConsumer): void {
    const isStuck = pending > this.#open.size && ack_floor.stream_seq === this.#auditedFloor;
    this.#auditedFloor = ack_floor.stream_seq;
    if (isStuck) this.doubt();
  }

  /** Goes on with another consumer, which begins with what is not acknowledged. */
  retake(consumer: string): void {
    this.#consumer = consumer;
    this.#last = 0;
    this.#puller = this.#createPuller();
    this.#flow();
  }

  /** Begins nothing more. Resolves once what had begun has ended or rests, or the lane is gone. */
  release(): Promise<void> {
    if (this.#state !== 'gone') this.#state = 'releasing';
    this.#withdraw();
    return new Promise((resolve) => {
      this.#onIdle.push(resolve);
      this.#checkIdle();
    });
  }

  /** It is no longer this replica's. */
  lose(): void {
    this.#state = 'gone';
    this.#withdraw();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#checkIdle();
  }

  changed(delivery: LaneDelivery): void {
    if (this.#state !== 'releasing' && this.#state !== 'gone') return;
    delivery.withdraw();
    this.#deps.ended(delivery);
    this.#checkIdle();
  }

  end(delivery: LaneDelivery, payload: Uint8Array): void {
    const reply = this.#open.end(delivery);
    // Of an entry only that it has ended is said.
    if (reply !== undefined) this.#deps.acks.end(reply, delivery.index === undefined ? payload : acked);
    this.#deps.ended(delivery);
    this.#suspects.ended(delivery);
    this.#checkIdle();
  }

  read({ sequence, index }: LaneDelivery): ReturnType<LaneOfDelivery['read']> {
    return this.#deps.read(sequence, index);
  }

  again(delivery: LaneDelivery, delayMs: number): void {
    this.#deps.ended(delivery);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      delivery.rest(1);
      if (this.mayBegin) this.#deps.arrived(delivery);
    }, delayMs);
    this.#timers.add(timer);
  }

  #checkIdle(): void {
    if (this.#onIdle.length === 0 || (this.#state !== 'gone' && this.#open.begun > 0)) return;
    for (const resolve of this.#onIdle) resolve();
    this.#onIdle = [];
  }

  get #inbox(): string {
    return `${this.#deps.inbox}.${this.#consumer}`;
  }

  #createPuller(): Puller {
    const { link, stream, maxBytes } = this.#deps;
    return createPuller(link, stream, this.#consumer, () => this.#inbox, maxBytes);
  }

  #flow(): void {
    if (this.#state === 'doubtful') this.#state = 'flowing';
    this.pull();
  }

  #withdraw(): void {
    this.#puller.forget();
    for (const delivery of this.#open.deliveries()) {
      if (delivery.hasBegun) continue;
      delivery.withdraw();
      this.#deps.ended(delivery);
    }
  }
}
