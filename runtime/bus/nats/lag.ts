/** The lag of a set of consumers. */

import type { ConsumerInfo } from 'nats';
import type { Lag } from '../port/messages.ts';
import type { Requests } from './requests.ts';

/** Summed over the consumers; it costs one request for each. @throws what `Requests.api` throws */
export async function readLag(requests: Requests, stream: string, consumers: readonly string[]): Promise<Lag> {
  const infos = await Promise.all(
    consumers.map((name) => requests.api<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`)),
  );
  return {
    pending: infos.reduce((sum, info) => sum + info.num_pending, 0),
    unacknowledged: infos.reduce((sum, info) => sum + info.num_ack_pending, 0),
  };
}
