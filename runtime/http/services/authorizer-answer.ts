/**
 * What an authorizer may say about a client: `{"context": {...}, "user": "...", "channels": [...], "expires_at": "...",
 * "subprotocol": "..."}`, all of it optional. An answer is never trusted beyond its documented shape, in docs/wire.md.
 */

import { HydrogenError } from '../../errors.ts';
import { memberSource } from '../../json-member.ts';
import { nameProblem } from '../../names.ts';

export interface AuthorizerAnswer {
  /** JSON, as the authorizer wrote it; undefined: it said nothing. */
  readonly context: string | undefined;
  readonly subprotocol?: string | undefined;
  /** A name of `names.ts`. */
  readonly user?: string | undefined;
  /** Each once. */
  readonly channels?: readonly string[] | undefined;
  /** On the wall clock. */
  readonly expiresAtMs?: number | undefined;
}

/** Levels of objects and lists in a context. */
const maxContextDepth = 64;
/** RFC 3339 section 5.6. */
const timestamp = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/**
 * @param offered the subprotocols of the client, of which the answer may choose one
 * @throws {HydrogenError} HYD_AUTHORIZER_INVALID
 */
export function readAuthorizerAnswer(
  body: Uint8Array,
  offered: readonly string[],
  maxContextBytes: number,
): AuthorizerAnswer {
  if (body.byteLength === 0) return { context: undefined };
  let text: string;
  let answer: unknown;
  try {
    // Without a byte-order mark, and only if it is UTF-8.
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    answer = JSON.parse(text);
  } catch (cause) {
    throw new HydrogenError('HYD_AUTHORIZER_INVALID', 'not JSON', { cause });
  }
  if (!isObject(answer)) throw invalid('not an object');
  const { context, subprotocol, user, expires_at: expiresAt, channels } = answer;
  if (context !== undefined) assertContext(context);
  if (subprotocol !== undefined && (typeof subprotocol !== 'string' || !offered.includes(subprotocol))) {
    throw invalid('subprotocol is not one that the client offered');
  }
  return {
    context: context === undefined ? undefined : contextOfSize(memberSource(text, 'context') ?? '{}', maxContextBytes),
    subprotocol,
    user: readUser(user),
    channels: readChannels(channels),
    expiresAtMs: readTime(expiresAt),
  };
}

/** The context, JSON of an object. @throws {HydrogenError} HYD_AUTHORIZER_INVALID when it is larger than it may be */
export function contextOfSize(context: string, maxContextBytes: number): string {
  if (Buffer.byteLength(context) <= maxContextBytes) return context;
  throw invalid(`context is larger than limits.maxContextBytes (${maxContextBytes})`);
}

/** @throws {HydrogenError} HYD_AUTHORIZER_INVALID */
function assertContext(context: unknown): void {
  if (!isObject(context)) throw invalid('context is not an object');
  if (!isShallow(context, maxContextDepth)) {
    throw invalid(`context is nested deeper than ${maxContextDepth} levels`);
  }
}

function readUser(user: unknown): string | undefined {
  if (user === undefined) return undefined;
  const problem = nameProblem(user);
  if (problem !== undefined) throw invalid(`user ${problem}`);
  return user as string;
}

function readChannels(channels: unknown): string[] | undefined {
  if (channels === undefined) return undefined;
  if (!Array.isArray(channels)) throw invalid('channels is not a list');
  for (const [i, channel] of channels.entries()) {
    const problem = nameProblem(channel);
    if (problem !== undefined) throw invalid(`channels[${i}] ${problem}`);
  }
  return [...new Set(channels as string[])];
}

function readTime(time: unknown): number | undefined {
  if (time === undefined) return undefined;
  const ms = typeof time === 'string' && timestamp.test(time) ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(ms)) throw invalid('expires_at is not a time of RFC 3339, such as 2026-01-31T12:00:00Z');
  return ms;
}

function invalid(detail: string): HydrogenError {
  return new HydrogenError('HYD_AUTHORIZER_INVALID', detail);
}

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => isShallow(inner, levels - 1));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
