/**
 * A client message of a lane, open at the lane's owner. It stays open through retries, and when the lane gets another consumer the
 * acknowledgement goes there. The attempts are counted here. A message that waits behind many of its connection needs no
 * payload: it is forgotten, and read again from the stream.
 */

import type { DeadLetterCause } from '../../port/dead-letters.ts';
import type { Delivery, Recalled } from '../../port/messages.ts';
import type { NatsDelivery } from '../delivery.ts';

/** What a delivery needs of its lane. */
export interface LaneOfDelivery {
  /** True while this process may begin work on its messages. */
  readonly mayBegin: boolean;
  /** It has begun, rests, has ended or is to be handed out again. */
  changed(delivery: LaneDelivery): void;
  end(delivery: LaneDelivery, payload: Uint8Array): void;
  again(delivery: LaneDelivery, delayMs: number): void;
  /** The payload of a message, read from the stream. */
  read(delivery: LaneDelivery): Promise<Uint8Array | Exclude<Recalled, 'read'>>;
}

/** What is kept of a message whose payload is forgotten. */
type Kept = Pick<
  NatsDelivery,
  'id' | 'connectionId' | 'endpoint' | 'callbackUrl' | 'isReplay' | 'storedAtMs' | 'source'
>;

const acked = Buffer.from('+ACK');

export class LaneDelivery implements Delivery {
  readonly sequence: number;
  /** Its place in the entry that holds it; undefined: it is stored by itself. */
  readonly index: number | undefined;
  readonly #message: Kept;
  readonly #lane: LaneOfDelivery;
  #payload: Uint8Array | undefined;
  #attempt: number;
  #state: 'waiting' | 'begun' | 'withdrawn' | 'ended' = 'waiting';

  constructor(
    message: NatsDelivery,
    sequence: number,
    index: number | undefined,
    attempt: number,
    lane: LaneOfDelivery,
  ) {
    const { id, connectionId, endpoint, callbackUrl, isReplay, storedAtMs, source } = message;
    this.#message = { id, connectionId, endpoint, callbackUrl, isReplay, storedAtMs, source };
    this.#payload = message.payload;
    this.sequence = sequence;
    this.index = index;
    this.#attempt = attempt;
    this.#lane = lane;
  }

  get id(): string {
    return this.#message.id;
  }

  get connectionId(): string {
    return this.#message.connectionId;
  }

  get endpoint(): string {
    return this.#message.endpoint;
  }

  get callbackUrl(): string {
    return this.#message.callbackUrl;
  }

  get payload(): Uint8Array {
    if (this.#payload === undefined) throw new Error(`message ${this.id} was shed and not recalled`);
    return this.#payload;
  }

  /** False also of an entry's: its attempts are its own. */
  get isShared(): boolean {
    return false;
  }

  get isReplay(): boolean {
    return this.#message.isReplay;
  }

  get storedAtMs(): number {
    return this.#message.storedAtMs;
  }

  get room(): undefined {
    return undefined;
  }

  get dueAtMs(): number {
    return 0;
  }

  get cause(): DeadLetterCause | undefined {
    return undefined;
  }

  get source(): string {
    return this.#message.source;
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

  shed(): boolean {
    if (this.#state !== 'waiting') return false;
    this.#payload = undefined;
    return true;
  }

  async recall(): Promise<Recalled> {
    if (this.#payload !== undefined) return 'read';
    const read = await this.#lane.read(this);
    if (typeof read === 'string') return read;
    this.#payload = read;
    return 'read';
  }

  begin(): boolean {
    if (this.#state === 'ended' || this.isWithdrawn) return false;
    if (!this.#lane.mayBegin) {
      this.withdraw();
      return false;
    }
    this.#state = 'begun';
    return true;
  }

  rest(requests: number): void {
    if (this.#state === 'ended') return;
    this.#attempt += requests;
    if (this.#state !== 'begun') return;
    this.#state = 'waiting';
    this.#lane.changed(this);
  }

  /** From now on it must not begin. Work that has begun goes on. */
  withdraw(): void {
    if (this.#state === 'waiting') this.#state = 'withdrawn';
  }

  ack(): void {
    this.#end(acked);
  }

  term(reason: string): void {
    this.#end(Buffer.from(`+TERM ${reason}`));
  }

  nak(delayMs: number): void {
    if (this.#state === 'ended' || this.isWithdrawn) return;
    this.#state = 'waiting';
    this.#lane.again(this, delayMs);
  }

  /** Nothing: what is open in a lane is the owner's for as long as the lane is. */
  working(): void {}

  #end(payload: Uint8Array): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#lane.end(this, payload);
  }
}
