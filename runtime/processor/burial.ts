/**
 * Storing dead letters. When the dead-letter stream takes nothing (it is full, say), a message must neither be lost nor
 * keep its place among those in flight: it is handed back, and when it is delivered again it is not posted again but
 * waits for the same letter.
 */

import { within } from '../../process/timing.ts';
import type { ClientMessage } from '../bus/port/client-message.ts';
import type { DeadLetterBus, DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { Delivery } from '../bus/port/messages.ts';
import { HydrogenError } from '../errors.ts';

/**
 * `refused`: not stored yet, the bus keeps trying. `stopped`: the bus has stopped, and the message is delivered again
 * elsewhere.
 */
export type Burial = 'stored' | 'refused' | 'stopped';

interface Grave {
  readonly cause: DeadLetterCause;
  readonly isStored: Promise<boolean>;
}

export class Burials {
  readonly #deadLetters: DeadLetterBus;
  readonly #patienceMs: number;
  readonly #graves = new Map<string, Grave>();

  /** @param patienceMs how long a message keeps its place while its letter is not stored */
  constructor(deadLetters: DeadLetterBus, patienceMs: number) {
    this.#deadLetters = deadLetters;
    this.#patienceMs = patienceMs;
  }

  /** Why a delivery of this message is already being buried by this process, if it is. */
  causeOf(messageId: string): DeadLetterCause | undefined {
    return this.#graves.get(messageId)?.cause;
  }

  /** A rejection is a bug. */
  async bury(processor: string, delivery: Delivery, cause: DeadLetterCause): Promise<Burial> {
    let grave = this.#graves.get(delivery.id);
    if (grave === undefined) {
      grave = { cause, isStored: this.#store(processor, delivery, delivery.attempt, cause) };
      this.#graves.set(delivery.id, grave);
    }
    const isStored = await within(this.#patienceMs, grave.isStored);
    if (isStored === undefined) return 'refused';
    this.#graves.delete(delivery.id);
    return isStored ? 'stored' : 'stopped';
  }

  async #store(processor: string, message: ClientMessage, attempts: number, cause: DeadLetterCause): Promise<boolean> {
    try {
      await this.#deadLetters.store(processor, message, attempts, cause);
      return true;
    } catch (error) {
      if (!(error instanceof HydrogenError)) throw error;
      if (error.code === 'HYD_BUS_STOPPED') return false;
      const { id, connectionId, endpoint, callbackUrl, payload } = message;
      if (error.code !== 'HYD_MESSAGE_TOO_LARGE' || payload.byteLength === 0) throw error;
      // The bus accepts less now than when it took this message: the letter is kept without its body.
      const detail = `${cause.detail} (the body of ${payload.byteLength} bytes is too large to be kept)`;
      const empty = { id, connectionId, endpoint, callbackUrl, payload: new Uint8Array(0) };
      return this.#store(processor, empty, attempts, { ...cause, detail });
    }
  }
}
