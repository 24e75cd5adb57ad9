/**
 * A group's streams and consumers, outside of its data path: the operator creates them ahead of the pods, and removes
 * them when a processor or the group is deleted. It connects like a bus and carries no messages.
 */

import { HydrogenError } from '../../errors.ts';
import type { BusStatus } from '../port/bus.ts';
import type { ConsumerOptions } from '../port/messages.ts';
import { decodeReport, type PodReport } from '../port/reports.ts';
import { createSubjects, type Subjects } from '../subjects.ts';
import { accountRoom } from './account.ts';
import { Announcer } from './announcements.ts';
import { Link } from './connection.ts';
import { bringsEntries, slotOf } from './consumer-sets.ts';
import { eachConsumer, metadataKeys, readConsumers, type StreamConsumers } from './consumer-view.ts';
import type { NatsBusOptions } from './core.ts';
import { deleteConsumers, ensureConsumers } from './durables.ts';
import { createRequests, isRefused, JetStreamError, jetStreamCodes, type Requests } from './requests.ts';
import { countRooms, deleteRooms, ensureWaitingStream, sumOf } from './rooms.ts';
import {
  clientStream,
  deadLetterStream,
  ensureStream,
  inspectStream,
  leaseBucket,
  ownerBucket,
  sentenceOf,
  waitingStream,
} from './streams.ts';

/** How far a processor lags behind, summed over its consumers and waiting rooms. */
export interface ProcessorLag {
  /** Messages of consumers without entries that are not delivered to any replica yet, and those in waiting rooms. */
  readonly pendingMessages: number;
  /** What consumers of entries and of lanes have not delivered yet: entries, and in lanes single messages as well. */
  readonly pendingEntries: number;
  /** Single messages delivered to replicas and not ended yet. */
  readonly unacknowledgedMessages: number;
  /** Entries delivered to replicas of which a message has not ended yet. */
  readonly unacknowledgedEntries: number;
  /** The number of its consumers of messages that are stored by themselves. */
  readonly consumers: number;
  /** The number of its consumers of entries. */
  readonly entriesConsumers: number;
  /** Messages in each of its waiting rooms that holds any. */
  readonly waiting: ReadonlyMap<string, number>;
}

export interface NatsGroupOptions extends Omit<NatsBusOptions, 'publishLimits' | 'report'> {
  /** Called before every request that changes something. @default - always */
  readonly mayWrite?: () => boolean;
}

/**
 * Every method but `start` and `stop` @throws {HydrogenError} HYD_BUS_UNREACHABLE, also when `mayWrite` returns false;
 * {JetStreamError}
 */
export interface NatsGroup {
  readonly status: BusStatus;
  onStatus(listener: (status: BusStatus, cause?: unknown) => void): void;
  /** Begins to connect. */
  start(): void;
  stop(): Promise<void>;
  /** What pods of the group report. Whoever reaches NATS can publish it. */
  onReport(listener: (report: PodReport) => void): void;
  /** Asks every pod for its report. Not sent while the connection is down. */
  askForReports(): void;
  /**
   * Creates or adapts the streams of client messages, dead letters and waiting rooms and the bucket of leases. Resolves
   * with the settings that can't be changed in place, and why there can be no waiting rooms, one sentence each.
   */
  ensureStreams(): Promise<string[]>;
  /** Resolves with the streams that are missing and the settings that differ, one sentence each. Changes nothing. */
  inspectStreams(): Promise<string[]>;
  /** The limits of the account and how much of them is used, as a sentence; undefined when it has no limits. */
  accountRoom(): Promise<string | undefined>;
  /** The existing consumers. One result can be used for any number of processors, each changed once. */
  readConsumers(): Promise<StreamConsumers>;
  /**
   * Creates or adapts the consumers of a processor. An endpoint that it no longer wants is left out by its replicas,
   * once they have consumed what was published there.
   * @param present the existing consumers, if they have just been read
   */
  ensureConsumers(options: ConsumerOptions, present?: StreamConsumers): Promise<void>;
  /** The lag of every processor of the group, by name. */
  lags(): Promise<ReadonlyMap<string, ProcessorLag>>;
  /**
   * Deletes a processor's waiting rooms and consumers, including the messages they had not acknowledged, once the gateways
   * publish no more for it. Resolves with the number of its consumers on the stream of client messages.
   */
  deleteConsumers(processor: string, present?: StreamConsumers): Promise<number>;
  /** Deletes every stream of the group and the bucket of leases, with everything in them. */
  deleteStreams(): Promise<void>;
}

const nothing = new Uint8Array();

/** JetStream API requests that change nothing. */
const readings = /^(INFO|STREAM\.MSG\.GET|(STREAM|CONSUMER)\.(INFO|LIST|NAMES)\b)/;

export function createNatsGroup(options: NatsGroupOptions): NatsGroup {
  const subjects = createSubjects(options.group);
  const link = new Link(options);
  const requests = guarded(createRequests(link), options.mayWrite);
  const tools = { requests, subjects, options, announcer: new Announcer(link, requests, subjects) };
  const needed = [
    clientStream(subjects, options.stream),
    deadLetterStream(subjects, options.stream, options.deadLetter),
    leaseBucket(subjects, options.leaseMs, options.stream),
  ];
  const streams = [...needed, waitingStream(subjects, options.stream)];
  return {
    get status() {
      return link.status;
    },
    onStatus: (listener) => link.onStatus(listener),
    start: () => link.start(),
    stop: () => link.stop(),
    onReport: (listener) => {
      link.subscribe(subjects.reports, ({ data }) => {
        const report = decodeReport(data);
        if (report !== undefined) listener(report);
      });
    },
    askForReports: () => void link.publish(subjects.reportsWanted, nothing),
    ensureStreams: async () => {
      const conflicts: string[] = [];
      for (const stream of needed) conflicts.push(...(await ensureStream(requests, stream)).map(sentenceOf));
      const waiting = await ensureWaitingStream(requests, subjects, options.stream);
      if (waiting instanceof JetStreamError) conflicts.push(`stream ${subjects.waitingStream}: ${waiting.message}`);
      else if (waiting instanceof HydrogenError) throw waiting;
      else conflicts.push(...waiting.map(sentenceOf));
      return conflicts;
    },
    inspectStreams: async () => (await Promise.all(streams.map((one) => inspectStream(requests, one)))).flat(),
    accountRoom: () => accountRoom(requests),
    readConsumers: async () => {
      try {
        return await readConsumers(requests, subjects.stream);
      } catch (err) {
        if (!isRefused(err, jetStreamCodes.streamNotFound)) throw err;
        return { lastSequence: 0, consumers: [] };
      }
    },
    ensureConsumers: async (consumer, present) => void (await ensureConsumers(tools, consumer, false, present)),
    lags: () => readLags(requests, subjects),
    deleteConsumers: async (processor, present) => {
      // Its consumers go last: as long as they exist, a removal that was interrupted is seen to be unfinished.
      await deleteRooms(requests, subjects, processor);
      return deleteConsumers(tools, processor, options.leaseMs, present);
    },
    deleteStreams: async () => {
      for (const { name } of [...streams, ownerBucket(subjects, options.stream)]) {
        try {
          await requests.api(`STREAM.DELETE.${name}`);
        } catch (err) {
          if (!isRefused(err, jetStreamCodes.streamNotFound)) throw err;
        }
      }
    },
  };
}

const noLag: ProcessorLag = {
  pendingMessages: 0,
  pendingEntries: 0,
  unacknowledgedMessages: 0,
  unacknowledgedEntries: 0,
  consumers: 0,
  entriesConsumers: 0,
  waiting: new Map(),
};

async function readLags(requests: Requests, subjects: Subjects): Promise<ReadonlyMap<string, ProcessorLag>> {
  const lags = new Map<string, ProcessorLag>();
  const slots = new Set<string>();
  await eachConsumer(requests, subjects.stream, ({ name, config, num_pending, num_ack_pending }) => {
    const { [metadataKeys.processor]: owner, [metadataKeys.entriesOf]: reader } = config.metadata ?? {};
    const processor = owner ?? reader;
    if (processor === undefined) return;
    const known = lags.get(processor) ?? noLag;
    lags.set(processor, {
      ...known,
      ...(bringsEntries(name)
        ? {
            pendingEntries: known.pendingEntries + num_pending,
            unacknowledgedEntries: known.unacknowledgedEntries + num_ack_pending,
          }
        : {
            pendingMessages: known.pendingMessages + num_pending,
            unacknowledgedMessages: known.unacknowledgedMessages + num_ack_pending,
          }),
      // A lane that changes hands has two for a moment.
      consumers: known.consumers + (owner === undefined || slots.has(slotOf(name)) ? 0 : 1),
      entriesConsumers: known.entriesConsumers + (owner === undefined ? 1 : 0),
      waiting: new Map(),
    });
    slots.add(slotOf(name));
  });
  for (const [processor, rooms] of await countRooms(requests, subjects)) {
    const lag = lags.get(processor);
    if (lag === undefined) continue;
    lags.set(processor, { ...lag, pendingMessages: lag.pendingMessages + sumOf(rooms), waiting: rooms });
  }
  return lags;
}

function guarded(requests: Requests, mayWrite: () => boolean = () => true): Requests {
  return {
    ...requests,
    api: (subject, body) => {
      if (readings.test(subject) || mayWrite()) return requests.api(subject, body);
      return Promise.reject(new HydrogenError('HYD_BUS_UNREACHABLE', 'this operator no longer leads'));
    },
  };
}
