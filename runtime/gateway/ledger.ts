/**
 * What one connection has published and what is known to be left of it. A message that is stored with others has a
 * position, below which the bus reports everything consumed; the others are counted by the bus.
 */

import type { Remainder } from '../bus/port/messages.ts';

/** Messages at one position, or at most at this one. */
interface Stored {
  readonly position: number;
  messages: number;
}

/** A connection that sends now and then has each message at a position of its own; many connections do. */
const maxPositions = 32;

/** Either the messages that were published apart, or the others. */
class Positions {
  #stored: Stored[] = [];
  #messages = 0;
  /** How many positions were known when the bus was last asked. */
  #asked = 0;

  get messages(): number {
    return this.#messages;
  }

  add(position: number): void {
    const last = this.#stored.at(-1);
    if (last?.position === position) last.messages += 1;
    else this.#stored.push({ position, messages: 1 });
    this.#messages += 1;
    if (this.#stored.length > maxPositions) this.#merge();
  }

  // Of two, the earlier one then counts as left for as long as the later one: too long, and never too short.
  #merge(): void {
    const merged: Stored[] = [];
    for (const [index, { position, messages }] of this.#stored.entries()) {
      const last = merged.at(-1);
      if (index % 2 === 0 || last === undefined) merged.push({ position, messages });
      else merged[merged.length - 1] = { position, messages: last.messages + messages };
    }
    this.#stored = merged;
    this.#asked = Math.floor(this.#asked / 2);
  }

  asking(): void {
    this.#asked = this.#stored.length;
  }

  /** What is not left is forgotten. What had a position that did not exist when asked was in a stream that is gone. */
  answered({ position: below, end }: Remainder): void {
    this.#stored = this.#stored.filter(
      ({ position }, index) => position >= below && (position < end || index >= this.#asked),
    );
    this.#messages = this.#stored.reduce((sum, { messages }) => sum + messages, 0);
  }
}

export class Ledger {
  readonly #apart = new Positions();
  readonly #others = new Positions();
  /** Published and not stored yet. */
  #unstored = 0;
  /** Stored without a position, and in waiting rooms, as far as is known. */
  #counted = 0;
  /** Stored without a position since the question that is under way was asked. */
  #countedSince = 0;
  /** Its messages are published apart from now on. */
  isApart = false;
  /** A question to the bus is under way. */
  isAsking = false;
  /** At this many messages the bus is asked what is left of them. */
  askAt = 0;

  /** Messages that may not be consumed yet. */
  get messages(): number {
    return this.#unstored + this.#counted + this.#apart.messages + this.#others.messages;
  }

  /** True if messages that were published with those of others may not be consumed yet. */
  get hasOthers(): boolean {
    return this.#others.messages > 0;
  }

  /** The same of messages that were published apart. */
  get hasApart(): boolean {
    return this.#apart.messages > 0;
  }

  get unstored(): number {
    return this.#unstored;
  }

  published(): void {
    this.#unstored += 1;
  }

  /** One message has ended. @param position as `publish` resolved; undefined: it was refused */
  ended(position: number | undefined, isApart: boolean): void {
    this.#unstored -= 1;
    if (position === undefined) return;
    if (position > 0) {
      (isApart ? this.#apart : this.#others).add(position);
    } else {
      this.#counted += 1;
      this.#countedSince += 1;
    }
  }

  /** A question to the bus begins. */
  asking(): void {
    this.isAsking = true;
    this.#countedSince = 0;
    this.#apart.asking();
    this.#others.asking();
  }

  /** What the bus has answered. @param remainders undefined: not asked, or not known */
  answered(apart: Remainder | undefined, others: Remainder | undefined): void {
    this.isAsking = false;
    // Each way to count is never too low, so the lower one holds.
    const known = this.messages;
    if (apart !== undefined) this.#apart.answered(apart);
    if (others !== undefined) this.#others.answered(others);
    const counted = others?.counted ?? apart?.counted;
    if (counted === undefined) return;
    this.#counted = 0;
    this.#counted = Math.min(counted + this.#countedSince, known - this.messages);
  }
}
