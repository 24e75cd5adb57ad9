/**
 * The stream of waiting rooms and the consumers of rooms, for buses and for the operator. Each room has one durable
 * consumer, which its metadata ascribes to a processor and a room. It is created before the first message is parked and
 * lives as long as a message may, so that consumers know of every room and of all that is in it.
 */

import { createHash } from 'node:crypto';
import type { ConsumerConfig, ConsumerInfo, StreamInfo } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { Subjects } from '../subjects.ts';
import { eachConsumer, metadataKeys } from './consumer-view.ts';
import { isRefused, JetStreamError, jetStreamCodes, type Requests } from './requests.ts';
import { type Conflict, ensureStream, nanos, type StreamOptions, waitingAgeMs, waitingStream } from './streams.ts';

/** Consumer metadata: the name of the room. */
const roomKey = 'hydrogen-room';
/** More than the replicas of a processor ever have open in one room. */
const maxAckPending = 65_536;
/** A page has 100,000 subjects. */
const maxSubjectPages = 8;

/** Messages by room and processor. */
export type RoomCounts = ReadonlyMap<string, ReadonlyMap<string, number>>;

/**
 * Creates or adapts the stream of waiting rooms. Without it everything else works, so a refusal, or no answer to this
 * alone, is a result.
 */
export async function ensureWaitingStream(
  requests: Requests,
  subjects: Subjects,
  stream: StreamOptions,
): Promise<readonly Conflict[] | JetStreamError | HydrogenError> {
  try {
    return await ensureStream(requests, waitingStream(subjects, stream));
  } catch (err) {
    if (err instanceof JetStreamError || err instanceof HydrogenError) return err;
    throw err;
  }
}

/** The name of a room's consumer. The text of the room can't be part of it: it may be long, and have any character. */
function roomConsumerName(processor: string, room: string): string {
  return `${processor}_w${createHash('sha256').update(room).digest('hex').slice(0, 16)}`;
}

/** Until the first replica enters a room. */
const firstAckTimeoutMs = 30_000;

/** A room of a processor. */
export interface RoomAddress {
  readonly processor: string;
  readonly room: string;
}

/** Creates the consumer of a room where there is none. @throws what `Requests.api` throws */
export async function createRoomConsumer(
  requests: Requests,
  subjects: Subjects,
  stream: StreamOptions,
  at: RoomAddress,
): Promise<void> {
  const { waitingStream: name } = subjects;
  const config = roomConsumer(subjects, stream, at, firstAckTimeoutMs);
  const request = requests.api(`CONSUMER.CREATE.${name}.${config.name}`, {
    stream_name: name,
    config,
    action: 'create',
  });
  await unless(request, jetStreamCodes.consumerExists);
}

/** Creates or adapts the consumer of a room, and returns its name. @throws what `Requests.api` throws */
export async function ensureRoomConsumer(
  requests: Requests,
  subjects: Subjects,
  stream: StreamOptions,
  at: RoomAddress,
  ackTimeoutMs: number,
): Promise<string> {
  const { waitingStream: name } = subjects;
  const config = roomConsumer(subjects, stream, at, ackTimeoutMs);
  await requests.api(`CONSUMER.CREATE.${name}.${config.name}`, { stream_name: name, config });
  return config.name;
}

function roomConsumer(
  subjects: Subjects,
  stream: StreamOptions,
  { processor, room }: RoomAddress,
  ackTimeoutMs: number,
): Partial<ConsumerConfig> & { readonly name: string } {
  const name = roomConsumerName(processor, room);
  return {
    name,
    durable_name: name,
    deliver_policy: 'all' as ConsumerConfig['deliver_policy'],
    ack_policy: 'explicit' as ConsumerConfig['ack_policy'],
    ack_wait: nanos(ackTimeoutMs),
    max_deliver: -1,
    max_ack_pending: maxAckPending,
    inactive_threshold: nanos(waitingAgeMs(stream)),
    filter_subject: subjects.waitingRoom(processor, room),
    metadata: { [metadataKeys.processor]: processor, [roomKey]: room },
  };
}

/**
 * Messages in each room that has a consumer and is not empty. It costs one request for each 256 consumers of the stream.
 * @throws what `Requests.api` throws
 */
export async function countRooms(requests: Requests, subjects: Subjects): Promise<RoomCounts> {
  const counts = new Map<string, Map<string, number>>();
  await eachConsumer(requests, subjects.waitingStream, ({ config, num_pending, num_ack_pending }) => {
    const processor = config.metadata?.[metadataKeys.processor];
    const room = config.metadata?.[roomKey];
    const messages = num_pending + num_ack_pending;
    if (processor === undefined || room === undefined || messages === 0) return;
    const rooms = counts.get(processor) ?? new Map<string, number>();
    counts.set(processor, rooms.set(room, messages));
  });
  return counts;
}

/** Messages in all rooms of a processor. */
export function sumOf(rooms: ReadonlyMap<string, number> | undefined): number {
  let sum = 0;
  for (const messages of rooms?.values() ?? []) sum += messages;
  return sum;
}

/** Messages in one room; undefined while it has no consumer. @throws what `Requests.api` throws */
export async function countRoom(
  requests: Requests,
  { waitingStream: stream }: Subjects,
  { processor, room }: RoomAddress,
): Promise<number | undefined> {
  try {
    const name = roomConsumerName(processor, room);
    const { num_pending, num_ack_pending } = await requests.api<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`);
    return num_pending + num_ack_pending;
  } catch (err) {
    if (isRefused(err, jetStreamCodes.consumerNotFound, jetStreamCodes.streamNotFound)) return undefined;
    throw err;
  }
}

/** Messages in the stream of waiting rooms; 0 when it does not exist. @throws what `Requests.api` throws */
export async function countWaiting(requests: Requests, { waitingStream: stream }: Subjects): Promise<number> {
  try {
    const { state } = await requests.api<StreamInfo>(`STREAM.INFO.${stream}`);
    return state.messages;
  } catch (err) {
    if (isRefused(err, jetStreamCodes.streamNotFound)) return 0;
    throw err;
  }
}

/**
 * Messages in each room of a processor, from the subjects of the stream, which also has rooms without a consumer. The
 * server sends every subject, that is, each connection in each room, so this is not for every day.
 * @throws what `Requests.api` throws
 */
export async function searchRooms(
  requests: Requests,
  subjects: Subjects,
  processor: string,
): Promise<Map<string, number>> {
  const rooms = new Map<string, number>();
  const filter = subjects.waitingRooms(processor);
  let offset = 0;
  for (let page = 0; page < maxSubjectPages; page++) {
    const body = { subjects_filter: filter, offset };
    const answer = await requests.api<StreamInfo & { total?: number }>(`STREAM.INFO.${subjects.waitingStream}`, body);
    const found = Object.entries(answer.state.subjects ?? {});
    for (const [subject, messages] of found) {
      const room = subjects.parseWaitingMessage(subject)?.room;
      if (room !== undefined) rooms.set(room, (rooms.get(room) ?? 0) + messages);
    }
    offset += found.length;
    if (found.length === 0 || offset >= (answer.total ?? 0)) break;
  }
  return rooms;
}

/** Deletes the consumers of a processor's rooms and everything in them. @throws what `Requests.api` throws */
export async function deleteRooms(requests: Requests, subjects: Subjects, processor: string): Promise<void> {
  const { waitingStream: stream } = subjects;
  const names: string[] = [];
  await eachConsumer(requests, stream, ({ name, config }) => {
    if (config.metadata?.[metadataKeys.processor] === processor) names.push(name);
  });
  const { consumerNotFound, streamNotFound } = jetStreamCodes;
  await Promise.all(
    names.map((name) => unless(requests.api(`CONSUMER.DELETE.${stream}.${name}`), consumerNotFound, streamNotFound)),
  );
  await unless(requests.api(`STREAM.PURGE.${stream}`, { filter: subjects.waitingRooms(processor) }), streamNotFound);
}

async function unless(request: Promise<unknown>, ...codes: number[]): Promise<void> {
  try {
    await request;
  } catch (err) {
    if (!isRefused(err, ...codes)) throw err;
  }
}
