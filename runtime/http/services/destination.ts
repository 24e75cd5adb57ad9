/**
 * Delivering a client message as an HTTP POST, and what the answer means: the destination row of the wire contract.
 * The body is the payload as the gateway wrote it, byte for byte.
 */

import { isUtf8 } from 'node:buffer';
import { isHeaderValue } from '../../../crds/headers.ts';
import type { Delivery } from '../../bus/port/messages.ts';
import { type ErrorCode, HydrogenError } from '../../errors.ts';
import type { CallResult, HttpAnswer } from '../client/call.ts';
import type { HttpClient } from '../client/client.ts';
import { parseRetryAfter } from '../client/retry-after.ts';
import { describeCause, isOutOfDescriptors, Service, type ServiceSpec } from './service.ts';
import { createTraceparent, type Traceparent } from './trace.ts';

export interface DestinationSpec extends ServiceSpec {
  /** True: a non-empty 2xx body goes back to the client. */
  readonly reply: boolean;
}

/** A destination that many deliveries are posted to. */
export interface PreparedDestination {
  readonly service: Service;
  readonly reply: boolean;
  /** Shared by all destinations of a processor. */
  readonly traceparent: Traceparent;
}

export interface Reply {
  readonly data: Uint8Array;
  readonly isBinary: boolean;
}

/** Why an attempt failed. The error table says whether it is retried. */
export interface AttemptFailure {
  readonly code: ErrorCode;
  /** For people; contains no payloads, queries or header values. */
  readonly detail: string;
  /** HTTP status, if there was an answer. */
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** Why the body of a 2xx, which was to be the reply, was not read completely. */
export type ReplyLoss = Exclude<CallResult['kind'], 'answer'>;

export type AttemptOutcome =
  | { readonly kind: 'consumed'; readonly status: number; readonly reply?: Reply; readonly replyLost?: ReplyLoss }
  | ({ readonly kind: 'failed' } & AttemptFailure)
  /** The HTTP client was closed during the call: the outcome is unknown. */
  | { readonly kind: 'abandoned' };

/** Body bytes that are sent back to a client; a larger body is not sent at all. */
export const maxReplyBytes = 512 * 1024;

/** Body bytes of other answers that are read and thrown away before the connection is cut instead. */
const maxDiscardedBytes = 64 * 1024;
/** The destination will never take this message. */
const rejections: ReadonlySet<number> = new Set([400, 413, 415, 422]);

/** @throws {HydrogenError} HYD_CONFIG_INVALID when the URL is not http or https, or contains credentials */
export function prepareDestination(
  spec: DestinationSpec,
  traceparent: Traceparent = createTraceparent(),
): PreparedDestination {
  return { service: new Service(spec), reply: spec.reply, traceparent };
}

/** Delivers one attempt. Never rejects. */
export async function deliver(
  http: HttpClient,
  destination: PreparedDestination,
  delivery: Delivery,
): Promise<AttemptOutcome> {
  const { reply } = destination;
  const result = await postDelivery(http, destination, delivery, reply, reply ? maxReplyBytes : maxDiscardedBytes);
  return result instanceof HydrogenError ? failed(result.code, result.message) : classify(result, destination);
}

/** Posts a delivery and leaves the answer to the caller. Never rejects; an error when a secret is missing or the message is not ours. */
export function postDelivery(
  http: HttpClient,
  { service, traceparent }: PreparedDestination,
  delivery: Delivery,
  readBody: boolean,
  maxAnswerBytes: number,
): Promise<CallResult> | HydrogenError {
  // Both come from the bus, where a stranger may have written them. Sent as they are, they would fail the destination.
  if (!isHeaderValue(delivery.id) || !isHeaderValue(delivery.callbackUrl)) {
    return new HydrogenError('HYD_MESSAGE_UNREADABLE', 'no header can carry its id or its callback URL');
  }
  let headers: string[];
  try {
    headers = service.headers(delivery.id, delivery.payload, delivery.callbackUrl);
  } catch (err) {
    if (err instanceof HydrogenError) return err;
    throw err;
  }
  headers.push(
    'hydrogen-message-id',
    delivery.id,
    'hydrogen-attempt',
    String(delivery.attempt),
    'traceparent',
    traceparent(delivery.id),
  );
  return service.post(http, headers, delivery.payload, maxAnswerBytes, readBody);
}

function classify(result: CallResult, destination: PreparedDestination): AttemptOutcome {
  if (result.kind === 'answer') return classifyAnswer(result, destination);
  // The status line decides: a destination that said 2xx has consumed the message, even if its reply was cut short.
  if (result.head !== undefined) {
    const outcome = classifyAnswer(result.head, destination);
    return outcome.kind === 'consumed' ? { ...outcome, replyLost: result.kind } : outcome;
  }
  const { target, timeoutMs } = destination.service;
  switch (result.kind) {
    case 'timeout':
      return failed('HYD_DESTINATION_TIMEOUT', `no answer from ${target.origin} within ${timeoutMs} ms`);
    case 'unreachable':
      if (isOutOfDescriptors(result.cause)) return failed('HYD_DESCRIPTORS_EXHAUSTED', '');
      return failed('HYD_DESTINATION_UNREACHABLE', `${target.origin}: ${describeCause(result.cause)}`);
    case 'tooLarge':
    case 'aborted':
      return { kind: 'abandoned' };
  }
}

function classifyAnswer(answer: HttpAnswer, { service, reply }: PreparedDestination): AttemptOutcome {
  const { status } = answer;
  if (status >= 200 && status < 300) {
    if (!reply || answer.body.byteLength === 0) return { kind: 'consumed', status };
    return { kind: 'consumed', status, reply: replyOf(answer) };
  }
  const detail = `${status} from ${service.target.origin}`;
  if (rejections.has(status)) return failed('HYD_DESTINATION_REJECTED', detail, status);
  const retryAfterMs = parseRetryAfter(answer.headers('retry-after'), Date.now());
  const code = status < 400 ? 'HYD_DESTINATION_REDIRECTED' : 'HYD_DESTINATION_FAILED';
  return failed(code, detail, status, retryAfterMs);
}

function replyOf(answer: HttpAnswer): Reply {
  const [type = ''] = (answer.headers('content-type') ?? '').split(';');
  const isOctets = type.trim().toLowerCase() === 'application/octet-stream';
  return { data: answer.body, isBinary: isOctets || !isUtf8(answer.body) };
}

function failed(code: ErrorCode, detail: string, status?: number, retryAfterMs?: number): AttemptOutcome {
  return { kind: 'failed', code, detail, status, retryAfterMs };
}
