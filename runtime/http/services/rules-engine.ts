/**
 * Routing by a rules engine: it gets the delivery as a destination would and answers where it goes,
 * 200 `{"endpoint": url, "headers": {...}}`. The answer is data from outside: whatever is not exactly that, names a
 * host that is not allowed, or sets a header that is hydrogen's, is refused as a whole, and the message is not consumed.
 * Refusing beats dropping the odd header: a destination that misses, say, its credentials would answer something else.
 */

import { isHeaderName, isHeaderValue } from '../../../crds/headers.ts';
import type { Header, RulesEngine } from '../../../crds/index.ts';
import { compileAllowedHosts } from '../../route/allowed-hosts.ts';
import { isSettableHeader } from '../../route/header-names.ts';
import type { EngineAnswer, Route, Router, RouterDeps } from '../../route/route.ts';

/** The rule under which deliveries are counted and logged. */
export const rulesEngineRule = 'rulesEngine';

/** More of an answer is never read. */
const maxAnswerBytes = 64 * 1024;
const maxUrlLength = 8 * 1024;
const maxHeaders = 64;

/** Where a message goes, or the sentence that says why the answer is refused. */
type Directions = { readonly url: string; readonly headers: readonly Header[] } | string;
type Failed = Extract<Route<never>, { kind: 'failed' }>;

/** @throws {HydrogenError} HYD_CONFIG_INVALID for a bad URL or host pattern */
export function createRulesEngine<D>(config: RulesEngine, deps: RouterDeps<D>): Router<D> {
  const { url, headers, reply, destinationTimeoutSeconds } = config;
  const engine = deps.prepare({ url, headers, timeoutMs: config.timeoutSeconds * 1000, reply: false });
  const admit = compileAllowedHosts(config.allowedHosts);
  const timeoutMs = destinationTimeoutSeconds * 1000;

  return {
    route: async (delivery): Promise<Route<D>> => {
      const answer = await deps.ask(engine, delivery, maxAnswerBytes);
      if (answer.kind !== 'answer') return answer;
      if (answer.status !== 200) return refused(answer);
      const directions = readDirections(answer.body);
      if (typeof directions === 'string') return failed('HYD_RULES_ENGINE_FAILED', directions, 200);
      const verdict = admit(directions.url);
      if (!verdict.isAllowed) return failed('HYD_HOST_FORBIDDEN', verdict.reason, 200);
      const spec = { url: verdict.url.href, headers: directions.headers, timeoutMs, reply };
      return { kind: 'destination', destination: deps.prepare(spec), rule: rulesEngineRule };
    },
  };
}

function refused(answer: Extract<EngineAnswer, { kind: 'answer' }>): Failed {
  const failure = failed('HYD_RULES_ENGINE_FAILED', `status ${answer.status}`, answer.status);
  return answer.retryAfterMs === undefined ? failure : { ...failure, retryAfterMs: answer.retryAfterMs };
}

function failed(error: 'HYD_RULES_ENGINE_FAILED' | 'HYD_HOST_FORBIDDEN', detail: string, status: number): Failed {
  return { kind: 'failed', error, detail, status };
}

function readDirections(body: Uint8Array): Directions {
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
    if (!isHeaderValue(value)) return `header ${name} holds characters that can't be sent`;
    read.push({ name, value });
  }
  return { url: endpoint, headers: read };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
