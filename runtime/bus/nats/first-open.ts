/**
 * The oldest message that a consumer may still have to deliver. Only what proves itself is used: what a consumer had not
 * acknowledged, what it has delivered, and what the stream's leader stores. `num_pending` proves nothing, because a
 * consumer counts a message some time after the stream has stored it, in a cluster on another server.
 */

import type { KnownConsumer, StreamConsumers } from './consumer-view.ts';
import { filtersOf } from './consumer-view.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';

/** Filters that are looked up on the stream; with more, messages may be delivered again. */
const maxLookups = 1024;

/**
 * A sequence that is at most that of the oldest message that one of `consumers` has not consumed, and one more than the
 * last sequence of the view when there is none. It never falls as time passes.
 * @throws what `Requests.api` throws
 */
export async function firstOpen(
  requests: Requests,
  stream: string,
  view: StreamConsumers,
  consumers: readonly KnownConsumer[],
): Promise<number> {
  const end = view.lastSequence + 1;
  let first = Math.min(end, ...consumers.filter(hasOpen).map(provenFirst));
  const idle = consumers.filter((one) => !hasOpen(one) && provenFirst(one) < first);
  if (idle.length === 0) return first;
  if (idle.reduce((sum, { config }) => sum + filtersOf(config).length, 0) > maxLookups) {
    return Math.min(first, ...idle.map(provenFirst));
  }
  // Lanes without traffic have delivered nothing for long. Usually the stream stores nothing since, for anybody.
  const oldest = await nextStored(requests, stream, Math.min(...idle.map(provenFirst)), undefined);
  if (oldest >= first) return first;
  for (const one of idle) {
    const from = provenFirst(one);
    const found = filtersOf(one.config).map((filter) => nextStored(requests, stream, from, filter));
    first = Math.min(first, ...(await Promise.all(found)));
  }
  return first;
}

/**
 * The same from the consumer alone. What it has delivered proves nothing: a server whose copy of the stream is behind passes
 * over messages that it does not have.
 */
export function provenFirst({ ack_floor }: KnownConsumer): number {
  return ack_floor.stream_seq + 1;
}

function hasOpen({ num_ack_pending }: KnownConsumer): boolean {
  return num_ack_pending > 0;
}

/** Asks the stream's leader. Infinity when it stores no such message. @param filter undefined: any subject */
async function nextStored(
  requests: Requests,
  stream: string,
  from: number,
  filter: string | undefined,
): Promise<number> {
  const body = { seq: from, next_by_subj: filter ?? '>' };
  try {
    const { message } = await requests.api<{ message: { seq: number } }>(`STREAM.MSG.GET.${stream}`, body);
    return message.seq;
  } catch (err) {
    if (isRefused(err, jetStreamCodes.messageNotFound)) return Number.POSITIVE_INFINITY;
    throw err;
  }
}
