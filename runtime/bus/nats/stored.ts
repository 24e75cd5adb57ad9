/** How much of one connection is stored: in the stream of client messages, and in the waiting rooms of processors. */

import type { StreamInfo } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { NatsCore } from './core.ts';
import { isRefused, JetStreamError, jetStreamCodes, type Requests } from './requests.ts';

/** See `MessageBus.stored`. */
export async function countStored(
  { requests, subjects }: NatsCore,
  endpoint: string,
  connectionId: string,
): Promise<number | undefined> {
  try {
    // In this order: a message is put into a room before it is acknowledged, so that none is missed on its way.
    const inStream = await countSubjects(requests, subjects.stream, subjects.clientMessage(endpoint, connectionId));
    const inRooms = await countSubjects(requests, subjects.waitingStream, subjects.waitingOf(endpoint, connectionId));
    return inStream + inRooms;
  } catch (err) {
    if (err instanceof JetStreamError || err instanceof HydrogenError) return undefined;
    throw err;
  }
}

/** Messages whose subject matches; 0 while the stream does not exist. @throws what `Requests.api` throws */
async function countSubjects(requests: Requests, stream: string, filter: string): Promise<number> {
  try {
    const { state } = await requests.api<StreamInfo>(`STREAM.INFO.${stream}`, { subjects_filter: filter });
    return Object.values(state.subjects ?? {}).reduce((sum, messages) => sum + messages, 0);
  } catch (err) {
    if (isRefused(err, jetStreamCodes.streamNotFound)) return 0;
    throw err;
  }
}
