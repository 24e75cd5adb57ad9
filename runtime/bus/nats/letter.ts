/**
 * A dead letter on the wire: the facts as JSON in one header, the payload untouched. Whoever reaches the bus can store
 * something under a processor's subject, so what is read is checked: what no processor wrote is a letter too, which says so.
 */

import type { DeadLetter, DeadLetterCause } from '../port/dead-letters.ts';
import { asciiJson, headerNames, headerValue } from './wire.ts';

/** What `STREAM.MSG.GET` answers with; the header block and the payload in base64. */
export interface StoredLetter {
  readonly subject: string;
  readonly seq: number;
  readonly hdrs?: string;
  readonly data?: string;
  /** When it was stored, RFC 3339. */
  readonly time?: string;
}

/** The facts about a letter. */
export type KeptFacts = Omit<DeadLetter, 'sequence' | 'payload' | 'isForeign'>;

/** Largest header of a dead letter, within the room reserved for headers. */
const maxHeaderBytes = 3072;
/** The last millisecond of a `Date`. */
const maxDateMs = 8.64e15;

/** The facts as JSON that fits into a header: the detail is shortened, since a letter that can't be stored blocks its message. */
export function letterJson(facts: KeptFacts): string {
  const json = asciiJson(facts);
  if (json.length <= maxHeaderBytes || facts.detail === '') return json;
  const chars = Math.floor(Math.min(facts.detail.length, maxHeaderBytes) / 2);
  return letterJson({ ...facts, detail: facts.detail.slice(0, chars) });
}

export function readLetter({ seq: sequence, hdrs = '', data = '', time = '' }: StoredLetter): DeadLetter {
  const json = headerValue(Buffer.from(hdrs, 'base64').toString('latin1'), headerNames.deadLetter);
  const payload = Buffer.from(data, 'base64');
  const facts = json === undefined ? undefined : readKeptFacts(json);
  if (facts !== undefined) return { ...facts, sequence, payload };
  const unknown = { id: '', connectionId: '', endpoint: '', callbackUrl: '', attempts: 0 };
  const cause = { code: 'HYD_MESSAGE_UNREADABLE', detail: 'no processor wrote this letter' };
  return { ...unknown, ...cause, diedAtMs: Date.parse(time) || 0, sequence, payload, isForeign: true };
}

/** Undefined when no processor wrote it. */
function readKeptFacts(json: string): KeptFacts | undefined {
  const value = parsed(json);
  const cause = causeOf(value);
  if (value === undefined || cause === undefined) return undefined;
  const { id, connectionId, endpoint, callbackUrl, attempts, diedAtMs } = value;
  if (!isToken(id) || !isToken(connectionId) || !isToken(callbackUrl) || typeof endpoint !== 'string') return undefined;
  if (!isWhole(attempts) || typeof diedAtMs !== 'number' || !(diedAtMs >= 0 && diedAtMs <= maxDateMs)) return undefined;
  return { id, connectionId, endpoint, callbackUrl, attempts, diedAtMs, ...cause };
}

/** The cause in a header. Undefined when no processor wrote it. */
export function readCause(json: string): DeadLetterCause | undefined {
  return causeOf(parsed(json));
}

function causeOf(value: Readonly<Record<string, unknown>> | undefined): DeadLetterCause | undefined {
  if (value === undefined) return undefined;
  const { code, detail, status, rule } = value;
  if (typeof code !== 'string' || !/^HYD_[A-Z_]+$/.test(code) || typeof detail !== 'string') return undefined;
  if (status !== undefined && !isWhole(status)) return undefined;
  if (rule !== undefined && typeof rule !== 'string') return undefined;
  return { code, detail, ...(status === undefined ? {} : { status }), ...(rule === undefined ? {} : { rule }) };
}

function parsed(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Its writer is a stranger.
    return undefined;
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Text that a replay writes into headers. */
function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\x20-\x7e]*$/.test(value);
}
