/** The lag of a processor's consumers. */

import type { ConsumerInfo } from 'nats';
import type { Lag } from '../port/messages.ts';
import type { EntrySizes } from './entry-sizes.ts';
import type { Requests } from './requests.ts';

/** Summed over the consumers; it costs one request for each. @throws what `Requests.api` throws */
async function readLag(requests: Requests, stream: string, consumers: readonly string[]): Promise<Lag> {
  const infos = await Promise.all(
    consumers.map((name) => requests.api<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`)),
  );
  return {
    pending: infos.reduce((sum, info) => sum + info.num_pending, 0),
    unacknowledged: infos.reduce((sum, info) => sum + info.num_ack_pending, 0),
  };
}

/** The entries that this process has open. */
export interface OpenEntries {
  readonly entries: number;
  /** Their messages whose deliveries have not ended. */
  readonly messages: number;
  /** Those of these messages that were not handed out. */
  readonly waiting: number;
}

/**
 * The lag of a replica's consumers in messages. Of entries it is exact for those that this process has open, and estimated
 * for all others. @throws what `Requests.api` throws
 */
export async function readMessageLag(
  requests: Requests,
  stream: string,
  names: { readonly singles: readonly string[]; readonly entries: readonly string[] },
  open: OpenEntries,
  sizes: EntrySizes,
): Promise<Lag> {
  const [singles, entries] = await Promise.all([
    readLag(requests, stream, names.singles),
    readLag(requests, stream, names.entries),
  ]);
  const elsewhere = sizes.messagesIn(Math.max(0, entries.unacknowledged - open.entries));
  return {
    pending: singles.pending + sizes.messagesIn(entries.pending) + open.waiting,
    unacknowledged: singles.unacknowledged + elsewhere + open.messages - open.waiting,
  };
}
