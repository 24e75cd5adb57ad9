/**
 * Storing dead letters. When the dead-letter stream takes nothing (it is full, say), a message must neither be lost nor
 * keep its place among those under way: it is handed back, and when it comes again it is not posted again but waits for
 * the same letter.
 */

import type { DeadLetterBus, DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { ClientMessage, Delivery } from '../bus/port/messages.ts';
import { HydrogenError } from '../errors.ts';

/** `refused`: not stored yet, the bus goes on trying. `stopped`: the bus ends; the message is delivered again elsewhere. */
export type Burial = 'stored' | 'refused' | 'stopped';

export interface Burials {
  /** Why a delivery of this message is already being buried by this process, if it is. */
  causeOf(messageId: string): DeadLetterCause | undefined;
  /** Never rejects but for a bug. */
  bury(processor: string, delivery: Delivery, cause: DeadLetterCause): Promise<Burial>;
}

interface Grave {
  readonly cause: DeadLetterCause;
  readonly isStored: Promise<boolean>;
}

/** @param patienceMs how long a message keeps its place while its letter is not stored */
export function createBurials(deadLetters: DeadLetterBus, patienceMs: number): Burials {
  const graves = new Map<string, Grave>();

  async function store(
    processor: string,
    message: ClientMessage,
    attempts: number,
    cause: DeadLetterCause,
  ): Promise<boolean> {
    try {
      await deadLetters.store(processor, message, attempts, cause);
      return true;
    } catch (error) {
      if (!(error instanceof HydrogenError)) throw error;
      if (error.code === 'HYD_BUS_STOPPED') return false;
      const { id, connectionId, endpoint, callbackUrl, payload } = message;
      if (error.code !== 'HYD_MESSAGE_TOO_LARGE' || payload.byteLength === 0) throw error;
      // The bus takes less than when it took this message. What can be kept is that, and why it died.
      const detail = `${cause.detail} (the body of ${payload.byteLength} bytes is too large to be kept)`;
      const empty = { id, connectionId, endpoint, callbackUrl, payload: new Uint8Array(0) };
      return store(processor, empty, attempts, { ...cause, detail });
    }
  }

  return {
    causeOf: (messageId) => graves.get(messageId)?.cause,
    async bury(processor, delivery, cause) {
      const grave = graves.get(delivery.id) ?? { cause, isStored: store(processor, delivery, delivery.attempt, cause) };
      graves.set(delivery.id, grave);
      const isStored = await within(patienceMs, grave.isStored);
      if (isStored === undefined) return 'refused';
      graves.delete(delivery.id);
      return isStored ? 'stored' : 'stopped';
    },
  };
}

/** Undefined when it takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
