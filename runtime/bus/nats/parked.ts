/** A parked message on the wire: the client's payload, untouched, and headers with everything else that is known of it. */

import type { DeadLetterCause } from '../port/dead-letters.ts';
import type { Delivery } from '../port/messages.ts';
import type { Parking } from '../port/waiting.ts';
import { readCause } from './letter.ts';
import { headerBytes } from './payload-limit.ts';
import { asciiJson, headerBlock, headerNames, headerValue } from './wire.ts';

/** What the headers of a parked message say. */
export interface ParkedFacts {
  readonly id: string;
  readonly attempts: number;
  readonly dueAtMs: number;
  readonly storedAtMs: number;
  readonly cause: DeadLetterCause | undefined;
}

/**
 * The header block with which a delivery is parked. Its id for deduplication names the stored message that was delivered
 * (so that parking that again stores nothing), the client's message (because a stream that was made again counts from 1)
 * and the processor (because all of them park in one stream).
 */
export function parkedHeaders(processor: string, delivery: Delivery, parking: Parking): string {
  const { id, callbackUrl, isReplay, storedAtMs, source } = delivery;
  const { attempts, dueAtMs, cause } = parking;
  const lines: (readonly [string, string])[] = [
    [headerNames.messageId, `${processor}-${source}-${id}`],
    [headerNames.originalId, id],
    [headerNames.callback, callbackUrl],
    [headerNames.attempts, `${attempts}`],
    [headerNames.dueAt, `${Math.ceil(dueAtMs)}`],
    [headerNames.storedAt, `${storedAtMs}`],
  ];
  if (isReplay) lines.push([headerNames.replayFor, processor]);
  const block = headerBlock(lines);
  if (cause === undefined) return block;
  const name = headerNames.parkedCause;
  return headerBlock([...lines, [name, boundedCause(cause, headerBytes - block.length - name.length - 4)]]);
}

/** Undefined when no processor wrote it. */
export function readParkedFacts(block: string): ParkedFacts | undefined {
  const id = headerValue(block, headerNames.originalId);
  const attempts = wholeNumber(headerValue(block, headerNames.attempts));
  const dueAtMs = wholeNumber(headerValue(block, headerNames.dueAt));
  const storedAtMs = wholeNumber(headerValue(block, headerNames.storedAt));
  if (id === undefined || attempts === undefined || dueAtMs === undefined || !storedAtMs) return undefined;
  const json = headerValue(block, headerNames.parkedCause);
  if (json === undefined) return { id, attempts, dueAtMs, storedAtMs, cause: undefined };
  const cause = readCause(json);
  return cause && { id, attempts, dueAtMs, storedAtMs, cause };
}

/** Of at most 15 digits, which a number holds exactly. */
function wholeNumber(text = ''): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

// Shortens the detail until the headers fit into the room that is reserved for them.
function boundedCause(cause: DeadLetterCause, maxBytes: number): string {
  const json = asciiJson(cause);
  if (json.length <= maxBytes || cause.detail === '') return json;
  return boundedCause({ ...cause, detail: cause.detail.slice(0, Math.floor(cause.detail.length / 2)) }, maxBytes);
}
