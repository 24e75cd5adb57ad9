/**
 * The messages of one client, each with the answer that must come: the same text. Every answer is checked; a second
 * answer to the same message is counted, since hydrogen promises at least once.
 */

import type { LoadClient } from './client.ts';

export interface ConversationOptions {
  /** Length of each text. */
  readonly bytes: number;
  /** Answers must come in the order of the messages. @default false */
  readonly isOrdered?: boolean;
  /** The beginning of each text. @default '' */
  readonly prefix?: string;
  /** @param sinceMs when the message was due, in milliseconds of `performance.now` */
  onAnswer(sinceMs: number): void;
}

export class Conversation {
  readonly #client: LoadClient;
  readonly #options: ConversationOptions;
  readonly #begin: string;
  readonly #padding: string;
  /** When each message without an answer was due. */
  readonly #waiting = new Map<number, number>();
  #sent = 0;
  #lastAnswered = 0;
  #repeated = 0;

  constructor(client: LoadClient, options: ConversationOptions) {
    this.#client = client;
    this.#options = options;
    this.#begin = `${options.prefix ?? ''}${client.index}.`;
    this.#padding = 'x'.repeat(options.bytes);
    client.onText = (text) => this.#check(text);
  }

  /** Answers that came more than once. */
  get repeated(): number {
    return this.#repeated;
  }

  /** When each message without an answer was due. */
  get unanswered(): Iterable<number> {
    return this.#waiting.values();
  }

  get isAnswered(): boolean {
    return this.#waiting.size === 0;
  }

  /** @param dueMs milliseconds of `performance.now` */
  send(dueMs = performance.now()): void {
    this.#sent += 1;
    this.#waiting.set(this.#sent, dueMs);
    const text = `${this.#begin}${this.#sent}.`;
    this.#client.send(text + this.#padding.slice(text.length));
  }

  #check(text: string): void {
    const end = text.indexOf('.', this.#begin.length);
    const number = Number(text.slice(this.#begin.length, end));
    const { bytes, isOrdered = false } = this.#options;
    const isOurs = text.startsWith(this.#begin) && number > 0 && number <= this.#sent && text.length === bytes;
    if (!isOurs || !text.endsWith(this.#padding.slice(end + 1))) {
      this.#fail(`got "${text.slice(0, 80)}"`);
      return;
    }
    const dueMs = this.#waiting.get(number);
    if (dueMs === undefined) {
      this.#repeated += 1;
      return;
    }
    if (isOrdered && number !== this.#lastAnswered + 1) {
      this.#fail(`got answer ${number} after ${this.#lastAnswered}`);
      return;
    }
    this.#lastAnswered = number;
    this.#waiting.delete(number);
    this.#options.onAnswer(dueMs);
  }

  #fail(problem: string): void {
    this.#client.onBroken(new Error(`client ${this.#client.index} of ${this.#sent} messages ${problem}`));
  }
}

/** Answers that came more than once, as a figure; none when there are none. */
export function repeatedAnswers(conversations: readonly Conversation[]): Readonly<Record<string, number>> {
  const repeated = conversations.reduce((sum, one) => sum + one.repeated, 0);
  return repeated > 0 ? { repeated } : {};
}
