/**
 * What happens to the deliveries of a message processor, in the words of its log. Called on the hot path, so an
 * implementation must be cheap and must not throw. Nothing here contains payloads, replies or header values.
 */

import type { ErrorCode, HydrogenError } from '../errors.ts';
import type { PushStatus } from '../push-status.ts';

export interface DeliveryFacts {
  readonly messageId: string;
  readonly connectionId: string;
  readonly endpoint: string;
  /** Name of the rule that matched, `rulesEngine` when a rules engine was asked; undefined when none matched. */
  readonly rule: string | undefined;
  readonly attempt: number;
  /** Since the beginning of this attempt in this process. */
  readonly durationMs: number;
}

export interface FailureFacts extends DeliveryFacts {
  readonly code: ErrorCode;
  readonly detail: string;
  /** HTTP status, if there was an answer. */
  readonly status: number | undefined;
}

export interface RetryFacts extends FailureFacts {
  readonly delayMs: number;
}

/**
 * The outcome of a reply: `sent`, the answer of the gateway that owns the connection, or a destination's body that was
 * too large to be sent back (`bodyTooLarge`) or not read completely (`bodyIncomplete`).
 */
export type ReplyOutcome = 'sent' | Exclude<PushStatus, 'done' | 'accepted'> | 'bodyTooLarge' | 'bodyIncomplete';

/** `closed`: requests flow. `open`: none are sent. `halfOpen`: a few are sent to try it. */
export type CircuitState = 'closed' | 'open' | 'halfOpen';

export interface WorkerEvents {
  /** The destination took the message; it is acknowledged. */
  consumed(facts: DeliveryFacts): void;
  /** The attempt failed and another one is due in `delayMs`. */
  retried(facts: RetryFacts): void;
  /** The message is stored in the dead-letter stream and off this processor's consumer. */
  deadLettered(facts: FailureFacts): void;
  /** No rule matched, and `unmatched: Drop` says to drop the message. */
  dropped(facts: DeliveryFacts): void;
  /** A consumed message had a reply. One that was not sent is not a reason to deliver the message again. */
  replied(facts: DeliveryFacts, outcome: ReplyOutcome): void;
  /** A destination gets no requests (`open`), a few to try it (`halfOpen`), or all of them again (`closed`). */
  circuitChanged(destination: string, state: CircuitState): void;
  /** Lanes of a replica that fell silent are this one's now. */
  tookOver(lanes: number): void;
  /** This replica could not renew its lease in time, and begins nothing in its lanes until it holds it again. */
  lanesLost(lanes: number): void;
  /** Something prevents the bus from delivering; it keeps trying. */
  busProblem(error: HydrogenError): void;
}
