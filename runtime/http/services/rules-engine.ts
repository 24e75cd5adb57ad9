/**
 * Routing by a rules engine: it receives the delivery as a destination would and answers where to send it, 200
 * `{"endpoint": url, "headers": {...}}`. The answer is data from outside: whatever is not exactly that, names a host
 * that is not allowed, or sets a header that is hydrogen's, is refused as a whole, and the message is not consumed.
 * Refusing is safer than dropping a header: without its credentials, for example, a destination would give a different
 * answer.
 */

import { isHeaderName, isHeaderValue } from '../../../crds/headers.ts';
import type { Header, RulesEngine } from '../../../crds/index.ts';
import type { Delivery } from '../../bus/port/messages.ts';
import { type ErrorCode, HydrogenError } from '../../errors.ts';
import { type AllowedHosts, compileAllowedHosts } from '../../route/allowed-hosts.ts';
import type { HttpAnswer } from '../client/call.ts';
import type { HttpClient } from '../client/client.ts';
import { parseRetryAfter } from '../client/retry-after.ts';
import { type AttemptFailure, type PreparedDestination, postDelivery } from './destination.ts';
import { isSettableHeader } from './header-names.ts';
import { describeCause, isOutOfDescriptors } from './service.ts';

/** Where a message goes. */
export interface Directions {
  readonly url: string;
  readonly headers: readonly Header[];
}

export type EngineOutcome =
  | ({ readonly kind: 'directions' } & Directions)
  | ({ readonly kind: 'failed' } & AttemptFailure)
  /** The HTTP client was closed during the call: nothing was decided. */
  | { readonly kind: 'abandoned' };

/** At most this much of an answer is read. */
const maxAnswerBytes = 64 * 1024;
const maxUrlLength = 8 * 1024;
const maxHeaders = 64;

/**
 * @param engine its URL and headers, prepared as a destination
 * @returns a function that asks it about one delivery; it never rejects
 * @throws {HydrogenError} HYD_CONFIG_INVALID for a bad host pattern
 */
export function createRulesEngine(
  { allowedHosts }: RulesEngine,
  engine: PreparedDestination,
  http: HttpClient,
): (delivery: Delivery) => Promise<EngineOutcome> {
  const admit = compileAllowedHosts(allowedHosts);
  return async (delivery) => {
    const result = await postDelivery(http, engine, delivery, true, maxAnswerBytes);
    if (result instanceof HydrogenError) return failed(result.code, result.message);
    const { target, timeoutMs } = engine.service;
    switch (result.kind) {
      case 'answer':
        return readAnswer(result, admit);
      case 'timeout':
        return failed('HYD_RULES_ENGINE_FAILED', `no answer within ${timeoutMs} ms`);
      case 'unreachable':
        if (isOutOfDescriptors(result.cause)) return failed('HYD_DESCRIPTORS_EXHAUSTED', '');
        return failed('HYD_RULES_ENGINE_FAILED', `${target.origin}: ${describeCause(result.cause)}`);
      case 'tooLarge':
        return failed('HYD_ANSWER_TOO_LARGE', `more than ${maxAnswerBytes} bytes from the rules engine`);
      case 'aborted':
        return { kind: 'abandoned' };
    }
  };
}

function readAnswer(answer: HttpAnswer, admit: AllowedHosts): EngineOutcome {
  const { status, body } = answer;
  if (status !== 200) {
    const retryAfterMs = parseRetryAfter(answer.headers('retry-after'), Date.now());
    return { ...failed('HYD_RULES_ENGINE_FAILED', `status ${status}`, status), retryAfterMs };
  }
  const directions = readDirections(body);
  if (typeof directions === 'string') return failed('HYD_RULES_ENGINE_FAILED', directions, status);
  const verdict = admit(directions.url);
  if (!verdict.isAllowed) return failed('HYD_HOST_FORBIDDEN', verdict.reason, status);
  return { kind: 'directions', url: verdict.url.href, headers: directions.headers };
}

/** The sentence that says why, when the answer is refused. */
function readDirections(body: Uint8Array): Directions | string {
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return 'the answer is not JSON';
  }
  if (!isRecord(answer)) return 'the answer is not an object';
  const { endpoint, headers = {} } = answer;
  if (typeof endpoint !== 'string' || endpoint === '') return 'endpoint is not a string';
  if (endpoint.length > maxUrlLength) return `endpoint is longer than ${maxUrlLength} characters`;
  if (!isRecord(headers)) return 'headers is not an object';
  const entries = Object.entries(headers);
  if (entries.length > maxHeaders) return `more than ${maxHeaders} headers`;
  const read: Header[] = [];
  for (const [name, value] of entries) {
    if (!isHeaderName(name)) return 'a header name is not a token';
    if (!isSettableHeader(name)) return `header ${name} can't be set`;
    if (typeof value !== 'string') return `header ${name} is not a string`;
    if (!isHeaderValue(value)) return `header ${name} contains characters that can't be sent`;
    read.push({ name, value });
  }
  return { url: endpoint, headers: read };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function failed(code: ErrorCode, detail: string, status?: number): { kind: 'failed' } & AttemptFailure {
  return { kind: 'failed', code, detail, status };
}
