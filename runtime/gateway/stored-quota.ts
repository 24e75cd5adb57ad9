/**
 * Bounds what one connection may have stored on the bus and not consumed, so that a client that floods delays itself
 * alone.
 *
 * - At a quarter of the limit the bus is asked what is left. As long as that is less, nothing else happens.
 * - A connection of which more is left is published apart, so that what is left of others no longer counts for it. It
 *   returns once little is left of it.
 * - At the limit it is held, and the bus is asked, again and again with growing delays, until at most half is left.
 */

import type { MessageBus, Remainder } from '../bus/port/messages.ts';
import { Fifo } from '../fifo.ts';
import type { Connection } from '../socket/connection.ts';
import { holds } from '../socket/inbox.ts';
import { Ledger } from './ledger.ts';

/** Questions to the bus at a time; the rest wait for their turn. */
const maxQuestions = 16;
const firstDelayMs = 50;
const maxDelayMs = 1000;

interface Question {
  readonly connection: Connection;
  readonly ledger: Ledger;
  /** Milliseconds until the next question if this one does not release a held connection. */
  delayMs: number;
}

export class StoredQuota {
  readonly #messages: MessageBus;
  readonly #limit: () => number;
  readonly #ledgers = new WeakMap<Connection, Ledger>();
  readonly #waiting = new Fifo<Question>();
  #open = 0;

  /** @param limit messages that one connection may have stored and not consumed */
  constructor(messages: MessageBus, limit: () => number) {
    this.#messages = messages;
    this.#limit = limit;
  }

  /**
   * A message of this connection is about to be published. Returns whether it is published apart. A connection that has
   * reached its limit is held, unless it ends: what was read from it is stored in any case.
   */
  published(connection: Connection): boolean {
    const limit = this.#limit();
    const ledger = this.#ledgerOf(connection);
    ledger.published();
    if (ledger.messages >= limit) {
      if (connection.closure === undefined) connection.hold(holds.stored);
    } else if (ledger.messages >= Math.max(ledger.askAt, limit / 4) && !ledger.isAsking) {
      this.#ask(connection, ledger);
    }
    if (ledger.messages > limit / 2) ledger.isApart = true;
    return ledger.isApart;
  }

  /** One of its messages has ended. @param position as `publish` resolved; undefined: it was refused */
  ended(connection: Connection, position: number | undefined, isApart: boolean): void {
    const ledger = this.#ledgerOf(connection);
    ledger.ended(position, isApart);
    // Only once all of them are stored is an answer complete.
    if (ledger.unstored === 0 && (connection.holds & holds.stored) !== 0 && !ledger.isAsking) {
      this.#ask(connection, ledger);
    }
  }

  #ledgerOf(connection: Connection): Ledger {
    const known = this.#ledgers.get(connection);
    if (known !== undefined) return known;
    const ledger = new Ledger();
    this.#ledgers.set(connection, ledger);
    return ledger;
  }

  #ask(connection: Connection, ledger: Ledger): void {
    ledger.isAsking = true;
    this.#queue({ connection, ledger, delayMs: firstDelayMs });
  }

  #queue(question: Question): void {
    this.#waiting.push(question);
    this.#pump();
  }

  #pump(): void {
    while (this.#open < maxQuestions) {
      const question = this.#waiting.shift();
      if (question === undefined) return;
      void this.#put(question);
    }
  }

  async #put(question: Question): Promise<void> {
    const { connection, ledger } = question;
    this.#open += 1;
    ledger.asking();
    const [apart, others] = await this.#remainders(connection, ledger);
    ledger.answered(apart, others);
    this.#open -= 1;
    this.#judge(connection, ledger);
    if ((connection.holds & holds.stored) !== 0 && ledger.unstored === 0) {
      ledger.isAsking = true;
      setTimeout(() => this.#queue(question), question.delayMs).unref();
      question.delayMs = Math.min(maxDelayMs, question.delayMs * 2);
    }
    this.#pump();
  }

  /** One question where one is enough. */
  async #remainders({ endpoint, id }: Connection, ledger: Ledger): Promise<readonly (Remainder | undefined)[]> {
    const wantsApart = ledger.hasApart;
    const wantsOthers = ledger.hasOthers || !wantsApart;
    const [apart, others] = await Promise.all([
      wantsApart ? this.#messages.remainder(endpoint, id, true) : undefined,
      wantsOthers ? this.#messages.remainder(endpoint, id, false) : undefined,
    ]);
    return [apart, others];
  }

  #judge(connection: Connection, ledger: Ledger): void {
    const limit = this.#limit();
    const left = ledger.messages;
    ledger.askAt = left + limit / 4;
    if (left - ledger.unstored >= limit / 4) ledger.isApart = true;
    else if (left - ledger.unstored < limit / 8 && !ledger.hasOthers) ledger.isApart = false;
    if (left <= limit / 2) connection.release(holds.stored);
  }
}
