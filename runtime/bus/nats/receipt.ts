/**
 * The acknowledgement of one message of a stream, which may hold several client messages. It is acknowledged once the
 * delivery of each of them has ended.
 */

import type { Acks } from './acks.ts';
import type { AckSubject } from './wire.ts';

const acked = Buffer.from('+ACK');
const nakedNow = Buffer.from('-NAK');
const inProgress = Buffer.from('+WPI');
/** With several deliveries, most reports that they are at work say nothing new. */
const reportEveryMs = 20;

export class Receipt {
  /** Name of the consumer that delivered it. */
  readonly consumer: string;
  /** True if it holds several client messages. */
  readonly isShared: boolean;
  /** When it arrived or was last reported at work, in `performance.now()`: the acknowledgement time-out runs from here. */
  aliveAtMs = performance.now();
  readonly #acks: Pick<Acks, 'end' | 'working'>;
  readonly #reply: string;
  #left: number;
  #isReturned = false;

  /** @param messages how many client messages it holds; undefined: it is one */
  constructor(acks: Pick<Acks, 'end' | 'working'>, ack: AckSubject, reply: string, messages?: number) {
    this.#acks = acks;
    this.#reply = reply;
    this.#left = messages ?? 1;
    this.consumer = ack.consumer;
    this.isShared = messages !== undefined;
  }

  /** Deliveries that have not ended. */
  get left(): number {
    return this.#left;
  }

  working(): void {
    const nowMs = performance.now();
    if (this.isShared && nowMs - this.aliveAtMs < reportEveryMs) return;
    this.aliveAtMs = nowMs;
    this.#acks.working(this.#reply, inProgress);
  }

  /** One delivery has ended. @param payload what is sent if it is the only one */
  end(payload: Uint8Array): void {
    this.#left -= 1;
    if (!this.isShared) this.#acks.end(this.#reply, payload);
    else if (this.#left === 0) this.#acks.end(this.#reply, this.#isReturned ? nakedNow : acked);
  }

  /** One delivery of several has ended and must be repeated, which repeats all of them. */
  giveBack(): void {
    this.#isReturned = true;
    this.end(acked);
  }
}
