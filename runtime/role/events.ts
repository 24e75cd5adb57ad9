/**
 * What a message processor tells about its work: one method per event, for logs and metrics. Called on the hot path, so
 * an implementation must be cheap and must not throw. Nothing here holds payloads, replies or header values.
 */

import type { ErrorCode, HydrogenError } from '../errors.ts';

export interface DeliveryFacts {
  readonly messageId: string;
  readonly connectionId: string;
  readonly endpoint: string;
  /** Name of the rule that matched, `rulesEngine` when one was asked; undefined when none matched. */
  readonly rule: string | undefined;
  readonly attempt: number;
  /** From the beginning of this attempt in this process. */
  readonly durationMs: number;
}

export interface FailureFacts extends DeliveryFacts {
  readonly error: ErrorCode;
  readonly detail: string;
  /** HTTP status, when one was answered. */
  readonly status: number | undefined;
}

export interface RetryFacts extends FailureFacts {
  readonly delayMs: number;
}

/**
 * `gone`: the connection is closed. `failed`: its gateway could not be asked or refused. The others: the destination said
 * 2xx, but its body did not arrive whole or is larger than what is sent back.
 */
export type ReplyFailure = 'gone' | 'failed' | 'timeout' | 'unreachable' | 'tooLarge' | 'aborted';

export interface ReplyFacts extends DeliveryFacts {
  readonly reason: ReplyFailure;
}

export interface ProcessorEvents {
  /** The destination took the message; it is acknowledged. */
  deliveryConsumed(facts: DeliveryFacts): void;
  /** The attempt failed and another one is due in `delayMs`. */
  deliveryRetried(facts: RetryFacts): void;
  /** The message is stored in the dead-letter stream and off this processor's consumer. */
  deliveryDeadLettered(facts: FailureFacts): void;
  /** No rule matches and `unmatched: Drop` says to forget it. */
  deliveryDropped(facts: DeliveryFacts): void;
  /** A consumed message's reply did not reach the client. It is not delivered again for that. */
  replyFailed(facts: ReplyFacts): void;
  /** Something keeps the bus from delivering; it goes on trying. */
  busProblem(error: HydrogenError): void;
}
