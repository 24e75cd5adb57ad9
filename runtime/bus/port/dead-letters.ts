/** Messages that will not be tried again, kept for a person to read, replay or remove. */

import type { ClientMessage } from './client-message.ts';

/** Why a message went to the dead-letter stream. */
export interface DeadLetterCause {
  readonly code: string;
  readonly detail: string;
  /** HTTP status of the last attempt, if it was answered. */
  readonly status?: number;
  /** Name of the rule that matched, if one did. */
  readonly rule?: string;
}

/**
 * A message as it was delivered. The last two are those of its `Delivery`: the same each time it is delivered, parked or
 * not, and others for each replay.
 */
export interface DeadMessage extends ClientMessage {
  readonly isReplay: boolean;
  readonly storedAtMs: number;
}

export interface DeadLetter extends ClientMessage, DeadLetterCause {
  /** Position in the dead-letter stream: the argument of `replay` and `remove`. */
  readonly sequence: number;
  readonly attempts: number;
  readonly diedAtMs: number;
  /**
   * True: no processor wrote it, but somebody else who reaches the bus. Its sequence, its payload and the time at which it
   * was stored are known, and its code is HYD_MESSAGE_UNREADABLE. It can be removed, and not replayed.
   */
  readonly isForeign?: true;
}

/**
 * The dead letters of one message processor. Every method @throws {HydrogenError} HYD_BUS_UNREACHABLE when the bus
 * can't be reached.
 */
export interface DeadLetters {
  /** Oldest first. @param limit maximum number to list. @param afterSequence start after this sequence, 0 for all. */
  list(limit: number, afterSequence?: number): Promise<DeadLetter[]>;
  get(sequence: number): Promise<DeadLetter | undefined>;
  /**
   * Delivers it once more, to this processor alone, with its old message id and a fresh attempt count, then removes it.
   * Resolves with false when there is no such letter. Interrupted between the two, it can be called again: the letter is
   * still delivered once (on NATS: if it is called again within two minutes).
   * @throws {HydrogenError} HYD_MESSAGE_UNREADABLE when it is foreign; HYD_NOT_READY when its consumer does not exist or no longer covers the endpoint
   */
  replay(sequence: number): Promise<boolean>;
  /** Resolves with false when there is no such letter. */
  remove(sequence: number): Promise<boolean>;
  /** Removes all of them; resolves with their number. */
  purge(): Promise<number>;
}

/** `refused`: it is not known to be stored, because the stream takes no more or did not answer; try again later. */
export type LetterOutcome = 'stored' | 'refused';

export interface DeadLetterBus {
  /**
   * Stores a dead letter under the processor's name, or says within seconds that it could not. A message that becomes a
   * letter again within two minutes, as after a crash before its delivery was ended, is stored once, unless it was
   * replayed in between.
   * @throws {HydrogenError} HYD_BUS_STOPPED, HYD_MESSAGE_TOO_LARGE
   */
  store(processor: string, message: DeadMessage, attempts: number, cause: DeadLetterCause): Promise<LetterOutcome>;
  /** @throws {HydrogenError} HYD_CONFIG_INVALID when the name is not a valid subject token */
  of(processor: string): DeadLetters;
}
