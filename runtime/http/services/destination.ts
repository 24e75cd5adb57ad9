/**
 * Delivering a client message as an HTTP POST, and what the answer means: the destination row of the wire contract.
 * The body is the payload as the gateway wrote it, byte for byte.
 */

import { isUtf8 } from 'node:buffer';
import type { Delivery } from '../../bus/port/messages.ts';
import { type ErrorCode, HydrogenError } from '../../errors.ts';
import { type Answer, type CallResult, type HttpClient, parseTarget, type Target } from '../client/client.ts';
import { parseRetryAfter } from '../client/retry-after.ts';
import { createTraceparent, type Traceparent } from './trace.ts';

export interface DestinationSpec {
  readonly url: string;
  /**
   * The configured headers, flat `[name, value, ...]`. Asked on every request; the same array as long as no value
   * changed. @throws {HydrogenError} HYD_SECRET_MISSING
   */
  readonly headers: () => readonly string[];
  readonly timeoutMs: number;
  /** Whether a non-empty 2xx body goes back to the client. */
  readonly reply: boolean;
}

/** A destination made ready for many deliveries: see `prepareDestination`. */
export interface Destination {
  readonly target: Target;
  readonly timeoutMs: number;
  readonly reply: boolean;
  /** The headers of one attempt. @throws {HydrogenError} HYD_SECRET_MISSING */
  headersFor(delivery: Delivery): readonly string[];
}

export interface Reply {
  readonly data: Uint8Array;
  readonly isBinary: boolean;
}

export interface Retry {
  readonly kind: 'retry';
  readonly error: ErrorCode;
  /** For people; holds nothing of payloads, queries or header values. */
  readonly detail: string;
  readonly status?: number;
  readonly retryAfterMs?: number;
}

export type Outcome =
  | {
      readonly kind: 'consumed';
      readonly status: number;
      readonly reply?: Reply;
      /** How a reply that was on its way failed to arrive whole. */
      readonly replyLost?: 'timeout' | 'unreachable' | 'too-large' | 'aborted';
    }
  | Retry
  | { readonly kind: 'deadLetter'; readonly error: ErrorCode; readonly detail: string; readonly status: number }
  /** The HTTP client was closed under it: nothing is known. */
  | { readonly kind: 'abandoned' };

/** Body bytes that are sent back to a client; a larger body is not sent at all. */
export const maxReplyBytes = 512 * 1024;

/** Body bytes of other answers that are read and thrown away before the connection is cut instead. */
const maxDiscardedBytes = 64 * 1024;
const rejections: ReadonlySet<number> = new Set([400, 413, 415, 422]);

/** @throws {HydrogenError} HYD_CONFIG_INVALID when the URL is not http or https, or holds credentials */
export function prepareDestination(spec: DestinationSpec, traceparent: Traceparent = createTraceparent()): Destination {
  const target = parseTarget(spec.url);
  if (target === undefined) {
    throw new HydrogenError('HYD_CONFIG_INVALID', 'a destination must be an http or https URL without credentials');
  }
  let configured: readonly string[] | undefined;
  let fixed: readonly string[] = [];
  return {
    target,
    timeoutMs: spec.timeoutMs,
    reply: spec.reply,
    headersFor: (delivery) => {
      const current = spec.headers();
      if (current !== configured) {
        configured = current;
        fixed = fixedHeaders(current);
      }
      const headers = [
        ...fixed,
        'hydrogen-message-id',
        delivery.id,
        'hydrogen-attempt',
        String(delivery.attempt),
        'traceparent',
        traceparent(delivery.id),
      ];
      if (delivery.callbackUrl !== '') headers.push('hydrogen-callback', delivery.callbackUrl);
      return headers;
    },
  };
}

/** Delivers one attempt. Never rejects. */
export async function deliver(http: HttpClient, destination: Destination, delivery: Delivery): Promise<Outcome> {
  const { reply } = destination;
  const result = await send(http, destination, delivery, reply, reply ? maxReplyBytes : maxDiscardedBytes);
  return result instanceof HydrogenError ? retry(result.code, result.message) : classify(result, destination);
}

/** Sends a delivery and leaves the answer to the caller, read up to `maxAnswerBytes`; an error when a secret is missing. */
export function ask(
  http: HttpClient,
  destination: Destination,
  delivery: Delivery,
  maxAnswerBytes: number,
): Promise<CallResult> | HydrogenError {
  return send(http, destination, delivery, true, maxAnswerBytes);
}

function send(
  http: HttpClient,
  destination: Destination,
  delivery: Delivery,
  readBody: boolean,
  maxAnswerBytes: number,
): Promise<CallResult> | HydrogenError {
  const { target, timeoutMs } = destination;
  let headers: readonly string[];
  try {
    headers = destination.headersFor(delivery);
  } catch (err) {
    if (err instanceof HydrogenError) return err;
    throw err;
  }
  return http.post({ url: target, headers, body: delivery.payload, timeoutMs, maxAnswerBytes, readBody });
}

function fixedHeaders(configured: readonly string[]): string[] {
  const hasUserAgent = configured.some((name, index) => index % 2 === 0 && name.toLowerCase() === 'user-agent');
  const userAgent = hasUserAgent ? [] : ['user-agent', 'hydrogen'];
  return ['content-type', 'application/json', ...userAgent, ...configured];
}

function classify(result: CallResult, destination: Destination): Outcome {
  if (result.kind === 'answer') return classifyAnswer(result, destination);
  // The status line is what counts: who said 2xx has consumed the message, even if the reply never arrived whole.
  if (result.head !== undefined) {
    const outcome = classifyAnswer(result.head, destination);
    return outcome.kind === 'consumed' ? { ...outcome, replyLost: result.kind } : outcome;
  }
  const { origin } = destination.target;
  switch (result.kind) {
    case 'timeout':
      return retry('HYD_DESTINATION_TIMEOUT', `no answer from ${origin} within ${destination.timeoutMs} ms`);
    case 'unreachable':
      return retry('HYD_DESTINATION_UNREACHABLE', `${origin}: ${describeCause(result.cause)}`);
    case 'too-large':
    case 'aborted':
      return { kind: 'abandoned' };
  }
}

function classifyAnswer(answer: Answer, destination: Destination): Outcome {
  const { status } = answer;
  if (status >= 200 && status < 300) {
    if (!destination.reply || answer.body.byteLength === 0) return { kind: 'consumed', status };
    return { kind: 'consumed', status, reply: replyOf(answer) };
  }
  const detail = `${status} from ${destination.target.origin}`;
  if (rejections.has(status)) return { kind: 'deadLetter', error: 'HYD_DESTINATION_REJECTED', detail, status };
  const error = status < 400 ? 'HYD_DESTINATION_REDIRECTED' : 'HYD_DESTINATION_FAILED';
  const retryAfterMs = parseRetryAfter(answer.headers('retry-after'), Date.now());
  const failure = retry(error, detail, status);
  return retryAfterMs === undefined ? failure : { ...failure, retryAfterMs };
}

function replyOf(answer: Answer): Reply {
  const [type = ''] = (answer.headers('content-type') ?? '').split(';');
  const isOctets = type.trim().toLowerCase() === 'application/octet-stream';
  return { data: answer.body, isBinary: isOctets || !isUtf8(answer.body) };
}

function retry(error: ErrorCode, detail: string, status?: number): Retry {
  return status === undefined ? { kind: 'retry', error, detail } : { kind: 'retry', error, detail, status };
}

/** What to tell people about a failed call: the system's code or the client's sentence, never contents. */
export function describeCause(cause: Error): string {
  if ('code' in cause && typeof cause.code === 'string') return cause.code;
  return cause.message || cause.name;
}
