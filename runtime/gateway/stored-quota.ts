/**
 * Bounds what one connection may have stored on the bus and not consumed, so that a client that floods delays itself
 * alone. A connection counts what it has published since the bus last told what is left of it. At the limit it is held,
 * and the bus is asked, again and again with growing delays, until at most half the limit is left.
 */

import type { MessageBus } from '../bus/port/messages.ts';
import { Fifo } from '../fifo.ts';
import type { Connection } from '../socket/connection.ts';
import { holds } from '../socket/inbox.ts';

/** Questions to the bus at a time; the rest wait for their turn. */
const maxQuestions = 16;
const firstDelayMs = 50;
const maxDelayMs = 1000;

interface Question {
  readonly connection: Connection;
  /** Milliseconds until the next question if this one does not release the connection. */
  delayMs: number;
}

export class StoredQuota {
  readonly #messages: MessageBus;
  readonly #limit: () => number;
  readonly #waiting = new Fifo<Question>();
  #open = 0;

  /** @param limit messages that one connection may have stored and not consumed */
  constructor(messages: MessageBus, limit: () => number) {
    this.#messages = messages;
    this.#limit = limit;
  }

  /**
   * Holds the connection; does nothing for one that ends, since what was read from it is stored in any case. `ask` must
   * be called once the bus has acknowledged everything that was published: only then is its answer complete.
   */
  reached(connection: Connection): void {
    if (connection.closure === undefined) connection.hold(holds.stored);
  }

  /** Asks how much of a held connection is left, until it can be released. */
  ask(connection: Connection): void {
    this.#queue({ connection, delayMs: firstDelayMs });
  }

  #queue(question: Question): void {
    this.#waiting.push(question);
    this.#pump();
  }

  #pump(): void {
    while (this.#open < maxQuestions) {
      const question = this.#waiting.shift();
      if (question === undefined) return;
      if ((question.connection.holds & holds.stored) !== 0) void this.#put(question);
    }
  }

  async #put(question: Question): Promise<void> {
    const { connection } = question;
    this.#open += 1;
    const stored = await this.#messages.stored(connection.endpoint, connection.id);
    this.#open -= 1;
    if (stored !== undefined && stored <= this.#limit() / 2) {
      connection.unconsumedMessages = stored;
      connection.release(holds.stored);
    } else {
      setTimeout(() => this.#queue(question), question.delayMs).unref();
      question.delayMs = Math.min(maxDelayMs, question.delayMs * 2);
    }
    this.#pump();
  }
}
