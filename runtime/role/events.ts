/**
 * What happens to the deliveries of a message processor, in the words of its log. Called on the hot path, so an
 * implementation must be cheap and must not throw. Nothing here holds payloads, replies or header values.
 */

import type { ErrorCode, HydrogenError } from '../errors.ts';
import type { PushStatus } from '../push-status.ts';

export interface DeliveryFacts {
  readonly messageId: string;
  readonly connectionId: string;
  readonly endpoint: string;
  /** Name of the rule that matched, `rulesEngine` when one was asked; undefined when none matched. */
  readonly rule: string | undefined;
  readonly attempt: number;
  /** Since the beginning of this attempt in this process. */
  readonly durationMs: number;
}

export interface FailureFacts extends DeliveryFacts {
  readonly code: ErrorCode;
  readonly detail: string;
  /** HTTP status, when one was answered. */
  readonly status: number | undefined;
}

export interface RetryFacts extends FailureFacts {
  readonly delayMs: number;
}

/**
 * What a reply came to: `sent`, or what the gateway that owns the connection answered, or that the destination's body
 * was larger than what is sent back (`bodyTooLarge`) or was not read to its end (`bodyIncomplete`).
 */
export type ReplyOutcome = 'sent' | Exclude<PushStatus, 'done' | 'accepted'> | 'bodyTooLarge' | 'bodyIncomplete';

export interface WorkerEvents {
  /** The destination took the message; it is acknowledged. */
  consumed(facts: DeliveryFacts): void;
  /** The attempt failed and another one is due in `delayMs`. */
  retried(facts: RetryFacts): void;
  /** The message is stored in the dead-letter stream and off this processor's consumer. */
  deadLettered(facts: FailureFacts): void;
  /** No rule matches and `unmatched: Drop` says to forget it. */
  dropped(facts: DeliveryFacts): void;
  /** A consumed message had a reply. One that was not sent is not a reason to deliver the message again. */
  replied(facts: DeliveryFacts, outcome: ReplyOutcome): void;
  /** Something keeps the bus from delivering; it goes on trying. */
  busProblem(error: HydrogenError): void;
}
