/**
 * The messages of the stream that are open in a lane, each of which holds one client message or is an entry of several, and
 * those that have ended and may be delivered again, because their acknowledgements were lost. An entry is acknowledged once
 * each of its messages has ended.
 */

import type { Inheritance } from './inheritance.ts';
import type { LaneDelivery } from './lane-delivery.ts';
import { type LaneRecord, messageKey } from './owner-record.ts';

interface OpenMessage {
  reply: string;
  /** Messages that it holds, those that have ended included. */
  readonly size: number;
  /** Those that have not ended. */
  readonly left: Set<LaneDelivery>;
}

/** Ended messages that are remembered. */
const maxRemembered = 4_096;
/** The server has read an acknowledgement after this time. */
const recentMs = 5_000;

export class OpenMessages {
  readonly #open = new Map<number, OpenMessage>();
  /** Sequences of messages that have ended, and when, oldest first. */
  readonly #ended = new Map<number, number>();
  #messages = 0;

  /** @param ended sequences of messages that have ended at the owner before */
  constructor(ended: readonly number[]) {
    for (const sequence of ended) this.#ended.set(sequence, 0);
  }

  /** Messages of the stream. */
  get size(): number {
    return this.#open.size;
  }

  /** Client messages. */
  get messages(): number {
    return this.#messages;
  }

  /** Client messages on which work has begun. */
  get begun(): number {
    let begun = 0;
    for (const delivery of this.deliveries()) if (delivery.hasBegun) begun += 1;
    return begun;
  }

  *deliveries(): Generator<LaneDelivery> {
    for (const { left } of this.#open.values()) yield* left;
  }

  /** Takes notice that a message was delivered again. @returns what is known of it */
  recognise(sequence: number, reply: string): 'open' | 'ended' | undefined {
    const open = this.#open.get(sequence);
    if (open !== undefined) open.reply = reply;
    return open !== undefined ? 'open' : this.#ended.has(sequence) ? 'ended' : undefined;
  }

  /** @param size client messages that it holds, those that have ended included */
  add(sequence: number, reply: string, size: number, deliveries: readonly LaneDelivery[]): void {
    this.#open.set(sequence, { reply, size, left: new Set(deliveries) });
    this.#messages += deliveries.length;
  }

  /** @returns where to acknowledge the message of the stream, when nothing of it is left */
  end(delivery: LaneDelivery): string | undefined {
    const { sequence } = delivery;
    const open = this.#open.get(sequence);
    if (open === undefined || !open.left.delete(delivery)) return undefined;
    this.#messages -= 1;
    if (open.left.size > 0) return undefined;
    this.#open.delete(sequence);
    this.#ended.set(sequence, performance.now());
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > maxRemembered && oldest !== undefined) this.#ended.delete(oldest);
    return open.reply;
  }

  /** What the next owner has to know. */
  record(isReleased: boolean, { rest }: Inheritance): LaneRecord {
    const attempts = new Map(rest.attempts);
    const left = new Map(rest.left);
    for (const [sequence, open] of this.#open) {
      for (const { index, attempt, hasBegun } of open.left) {
        const sent = attempt - 1 + (isReleased && hasBegun ? 1 : 0);
        if (sent > 0) attempts.set(messageKey(sequence, index), sent);
      }
      if (open.left.size < open.size)
        left.set(
          sequence,
          Array.from(open.left, ({ index = 0 }) => index),
        );
    }
    const sinceMs = performance.now() - recentMs;
    const ended = isReleased ? Array.from(this.#ended).filter(([, atMs]) => atMs > sinceMs) : [];
    return { isReleased, attempts, left, ended: ended.map(([sequence]) => sequence) };
  }
}
