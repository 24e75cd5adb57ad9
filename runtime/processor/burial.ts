/**
 * Storing a dead letter, within what the bus accepts. The body of a message that has become too large is left out rather
 * than the letter.
 */

import type { DeadLetterBus, DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { Delivery } from '../bus/port/messages.ts';
import { HydrogenError } from '../errors.ts';

/**
 * `refused`: the dead-letter stream takes nothing now (it is full, say). `stopped`: the bus has stopped, and the message
 * is delivered again elsewhere.
 */
export type Burial = 'stored' | 'refused' | 'stopped';

/** A rejection is a bug. */
export async function bury(
  deadLetters: DeadLetterBus,
  processor: string,
  delivery: Delivery,
  attempts: number,
  cause: DeadLetterCause,
): Promise<Burial> {
  try {
    return await deadLetters.store(processor, delivery, attempts, cause);
  } catch (error) {
    if (!(error instanceof HydrogenError)) throw error;
    if (error.code === 'HYD_BUS_STOPPED') return 'stopped';
    const { payload } = delivery;
    if (error.code !== 'HYD_MESSAGE_TOO_LARGE' || payload.byteLength === 0) throw error;
    // The bus accepts less now than when it took this message: the letter is kept without its body.
    const detail = `${cause.detail} (the body of ${payload.byteLength} bytes is too large to be kept)`;
    const { id, connectionId, endpoint, callbackUrl, isReplay, storedAtMs } = delivery;
    const empty = { id, connectionId, endpoint, callbackUrl, isReplay, storedAtMs, payload: new Uint8Array(0) };
    return await deadLetters.store(processor, empty, attempts, { ...cause, detail }).catch(rethrowUnlessStopped);
  }
}

function rethrowUnlessStopped(error: unknown): 'stopped' {
  if (error instanceof HydrogenError && error.code === 'HYD_BUS_STOPPED') return 'stopped';
  throw error;
}
