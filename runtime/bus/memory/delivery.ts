/** A stored message that is open at one replica. */

import type { ClientMessage } from '../port/client-message.ts';
import type { DeadLetterCause } from '../port/dead-letters.ts';
import type { Delivery, Recalled } from '../port/messages.ts';
import type { LaneEntry, Replica } from './lanes.ts';

/** The consumer that a delivery belongs to. */
interface DeliveringConsumer {
  readonly ackTimeoutMs: number;
  finish(delivery: MemoryDelivery): void;
  retry(delivery: MemoryDelivery, delayMs: number): void;
  /** Work on it has paused. */
  rested(delivery: MemoryDelivery): void;
}

export class MemoryDelivery implements Delivery {
  readonly id: string;
  readonly connectionId: string;
  readonly endpoint: string;
  readonly callbackUrl: string;
  readonly payload: Uint8Array;
  readonly isShared = false;
  readonly isReplay: boolean;
  readonly storedAtMs: number;
  readonly room: string | undefined;
  readonly dueAtMs: number;
  readonly cause: DeadLetterCause | undefined;
  readonly entry: LaneEntry;
  readonly replica: Replica;
  /** When it is redelivered, unless it is reported at work before. */
  deadlineMs = 0;
  readonly #consumer: DeliveringConsumer;
  #attempt: number;
  #state: 'waiting' | 'begun' | 'withdrawn' = 'waiting';

  constructor(entry: LaneEntry, replica: Replica, consumer: DeliveringConsumer) {
    const { message, isReplay, storedAtMs, parking } = entry.stored;
    const { id, connectionId, endpoint, callbackUrl, payload }: ClientMessage = message;
    this.id = id;
    this.connectionId = connectionId;
    this.endpoint = endpoint;
    this.callbackUrl = callbackUrl;
    this.payload = payload;
    this.#attempt = entry.attempts + (entry.lane.isOrdered ? 1 : 0) + (parking?.attempts ?? 0);
    this.isReplay = isReplay;
    this.storedAtMs = storedAtMs;
    this.room = parking?.room;
    this.dueAtMs = parking?.dueAtMs ?? 0;
    this.cause = parking?.cause;
    this.entry = entry;
    this.replica = replica;
    this.#consumer = consumer;
    this.#restartTimeout();
  }

  get source(): string {
    const { parking, number } = this.entry.stored;
    return `${parking === undefined ? 'm' : 'w'}${number}`;
  }

  get attempt(): number {
    return this.#attempt;
  }

  get isWithdrawn(): boolean {
    return this.#state === 'withdrawn';
  }

  get hasBegun(): boolean {
    return this.#state === 'begun';
  }

  /** The broker has it anyway. */
  shed(): boolean {
    return this.entry.lane.isOrdered;
  }

  async recall(): Promise<Recalled> {
    return 'read';
  }

  begin(): boolean {
    if (this.isWithdrawn) return false;
    this.#state = 'begun';
    return true;
  }

  rest(requests: number): void {
    this.#attempt += requests;
    if (this.#state !== 'begun') return;
    this.#state = 'waiting';
    if (this.#isHeard()) this.#consumer.rested(this);
  }

  /** From now on it must not begin. */
  withdraw(): void {
    this.#state = 'withdrawn';
  }

  ack(): void {
    if (this.#isHeard()) this.#consumer.finish(this);
  }

  nak(delayMs: number): void {
    if (this.#isHeard()) this.#consumer.retry(this, delayMs);
  }

  working(): void {
    if (this.#isHeard()) this.#restartTimeout();
  }

  term(): void {
    this.ack();
  }

  #restartTimeout(): void {
    this.deadlineMs = Date.now() + this.#consumer.ackTimeoutMs;
  }

  // A stopped bus can no longer end its deliveries.
  #isHeard(): boolean {
    return this.replica.link.state !== 'stopped';
  }
}
