/**
 * The requests that a gateway posts to services: authorizer, connect hook, disconnect hook. Wire forms are in
 * docs/wire.md. An answer is never trusted beyond its documented shape.
 */

import { sleep } from '../../../process/timing.ts';
import { HydrogenError } from '../../errors.ts';
import type { CallResult } from '../client/call.ts';
import type { HttpClient } from '../client/client.ts';
import { parseRetryAfter } from '../client/retry-after.ts';
import { type AuthorizerAnswer, readAuthorizerAnswer } from './authorizer-answer.ts';
import { describeCause, type Service } from './service.ts';

/** What every hook request says about its connection. */
export interface HookSubject {
  readonly instance_id: string;
  readonly group_id: string;
  readonly connection_id: string;
  readonly endpoint: string;
  /** Who the client is; undefined: nobody said. */
  readonly user?: string | undefined;
  /** Base URL of the management API; undefined: none. */
  readonly callback?: string | undefined;
}

/** A hook that is about to be called. */
export interface HookCall {
  readonly http: HttpClient;
  readonly service: Service;
  /** Names the call, the same for each attempt of it: `[A-Za-z0-9-]`. */
  readonly id: string;
  /** For the header `hydrogen-callback`; empty: none. */
  readonly callbackUrl: string;
  /** Cuts the call. */
  readonly signal?: AbortSignal;
}

/** Bytes that an authorizer's answer may contain in addition to the context. */
const answerMarginBytes = 40_960;
/** Bytes that are read of an unused answer. */
const ignoredAnswerBytes = 65_536;
const maxRetryDelayMs = 30_000;

/**
 * @param request the wire fields.
 * @param claims JSON of the claims of the client's token, sent as it is; undefined: it has none
 * @throws {HydrogenError} HYD_CLIENT_LEFT (its signal has aborted), HYD_FORBIDDEN (403), HYD_UNAUTHORIZED (any other 4xx), HYD_AUTHORIZER_INVALID (200 with an
 * answer that `readAuthorizerAnswer` does not take), HYD_AUTHORIZER_UNAVAILABLE (everything else).
 */
export async function askAuthorizer(
  call: HookCall,
  request: HookSubject & { readonly subprotocols: readonly string[] } & Readonly<Record<string, unknown>>,
  maxContextBytes: number,
  claims?: string,
): Promise<AuthorizerAnswer> {
  const fields = JSON.stringify(request);
  const body = claims === undefined ? fields : `${fields.slice(0, -1)},"claims":${claims}}`;
  const result = await post(call, body, maxContextBytes + answerMarginBytes, true);
  if (result instanceof HydrogenError) {
    throw new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', undefined, { cause: result });
  }
  if (result.kind === 'tooLarge') {
    throw new HydrogenError('HYD_AUTHORIZER_INVALID', `larger than limits.maxContextBytes (${maxContextBytes}) allows`);
  }
  if (result.kind === 'aborted' && call.signal?.aborted === true) throw new HydrogenError('HYD_CLIENT_LEFT');
  if (result.kind !== 'answer') throw new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', describe(call, result));
  if (result.status === 403) throw new HydrogenError('HYD_FORBIDDEN');
  if (result.status >= 400 && result.status < 500) throw new HydrogenError('HYD_UNAUTHORIZED');
  if (result.status !== 200) throw new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', describe(call, result));
  return readAuthorizerAnswer(result.body, request.subprotocols, maxContextBytes);
}

/** @throws {HydrogenError} HYD_CONNECT_HOOK_REFUSED unless the answer is 2xx. @param context see `withContext` */
export async function callConnectHook(call: HookCall, subject: HookSubject & object, context: string): Promise<void> {
  const result = await post(call, withContext(subject, context), ignoredAnswerBytes, false);
  if (result instanceof HydrogenError) {
    throw new HydrogenError('HYD_CONNECT_HOOK_REFUSED', undefined, { cause: result });
  }
  if (!isSuccess(result)) throw new HydrogenError('HYD_CONNECT_HOOK_REFUSED', describe(call, result));
}

/** A failed attempt; `nextDelayMs` is undefined when it was the last. */
export interface HookFailure {
  readonly attempt: number;
  readonly detail: string;
  readonly nextDelayMs: number | undefined;
}

/**
 * Posts until 2xx, at most `maxAttempts` times, waiting 0.5 s, 1 s, 2 s, ... up to 30 s or what `Retry-After` asks for.
 * Never rejects. @returns true if the service accepted it.
 * @param signal ends the waiting: the next attempt is then the last.
 */
export async function callDisconnectHook(
  call: HookCall,
  maxAttempts: number,
  subject: HookSubject & object,
  context: string,
  onFailure: (failure: HookFailure) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const body = withContext(subject, context);
  for (let attempt = 1; ; attempt++) {
    const result = await post(call, body, ignoredAnswerBytes, false);
    if (!(result instanceof HydrogenError) && isSuccess(result)) return true;
    const isLast = attempt >= maxAttempts || signal.aborted;
    const delayMs = Math.min(retryAfterMs(result) ?? 250 * 2 ** attempt, maxRetryDelayMs);
    onFailure({ attempt, detail: describe(call, result), nextDelayMs: isLast ? undefined : delayMs });
    if (isLast) return false;
    await sleep(delayMs, signal);
  }
}

/** Never rejects; an error when a secret of its headers is missing. */
async function post(
  { http, service, id, callbackUrl, signal }: HookCall,
  body: string,
  maxAnswerBytes: number,
  readBody: boolean,
): Promise<CallResult | HydrogenError> {
  let headers: readonly string[];
  try {
    headers = service.headers(id, body, callbackUrl);
  } catch (error) {
    if (error instanceof HydrogenError) return error;
    throw error;
  }
  return service.post(http, headers, body, maxAnswerBytes, readBody, signal);
}

/** The body of a hook. @param context JSON, which stays as it is */
function withContext(subject: HookSubject & object, context: string): string {
  return `${JSON.stringify(subject).slice(0, -1)},"context":{"authorizer":${context}}}`;
}

function retryAfterMs(result: CallResult | HydrogenError): number | undefined {
  if (result instanceof HydrogenError || result.kind !== 'answer') return undefined;
  return parseRetryAfter(result.headers('retry-after'), Date.now());
}

function isSuccess(result: CallResult): boolean {
  return result.kind === 'answer' && result.status >= 200 && result.status < 300;
}

/** @param call to the service that it is about */
function describe({ service }: HookCall, result: CallResult | HydrogenError): string {
  if (result instanceof HydrogenError) return result.message;
  switch (result.kind) {
    case 'answer':
      return `it answered ${result.status}`;
    case 'timeout':
      return 'it did not answer in time';
    case 'unreachable':
      return `it could not be reached at ${service.target.origin}: ${describeCause(result.cause)}`;
    case 'tooLarge':
      return 'its answer is too large';
    case 'aborted':
      return 'the call was given up';
  }
}
