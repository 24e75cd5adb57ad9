/**
 * A group's streams and consumers seen from outside of its data path: what an operator creates ahead of the pods and
 * removes when a processor is deleted. It connects like a bus and carries no messages.
 */

import { HydrogenError } from '../../errors.ts';
import type { BusStatus } from '../port/bus.ts';
import type { ConsumerOptions } from '../port/messages.ts';
import { createSubjects } from '../subjects.ts';
import { accountRoom } from './account.ts';
import { Link } from './connection.ts';
import type { NatsBusOptions } from './core.ts';
import { deleteConsumers, ensureConsumers, listConsumers, metadataKeys } from './durables.ts';
import { createRequests, isRefused, jetStreamCodes, type Requests } from './requests.ts';
import { clientStream, deadLetterStream, ensureStream, inspectStream, leaseBucket, sentenceOf } from './streams.ts';

/** How far a processor is behind, over all of its consumers. */
export interface ProcessorLag {
  /** Messages that no replica has been given yet. */
  readonly pendingMessages: number;
  /** Messages that replicas have been given and not finished. */
  readonly unacknowledgedMessages: number;
  /** How many consumers it has. */
  readonly consumers: number;
}

export interface NatsGroupOptions extends Omit<NatsBusOptions, 'publishLimits'> {
  /** Asked before every request that changes something. @default - always */
  readonly mayWrite?: () => boolean;
}

export interface NatsGroup {
  readonly status: BusStatus;
  onStatus(listener: (status: BusStatus, cause?: unknown) => void): void;
  /** Begins to connect and resolves at once. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /**
   * Creates or adapts the streams of client messages and dead letters and the bucket of leases; resolves with what can't be
   * changed in place, a sentence each.
   * @throws {HydrogenError} HYD_BUS_UNREACHABLE, {JetStreamError}; also when `mayWrite` says no
   */
  ensureStreams(): Promise<string[]>;
  /** What of the streams is missing or not as it should be, a sentence each; changes nothing. @throws like `ensureStreams` */
  inspectStreams(): Promise<string[]>;
  /** What the account's limits leave room for, as a sentence; undefined where it has none. @throws like `ensureStreams` */
  accountRoom(): Promise<string | undefined>;
  /** Creates or adapts the consumers of a processor. @throws like `ensureStreams` */
  ensureConsumers(options: ConsumerOptions): Promise<void>;
  /** How far every processor of the group is behind, by name. @throws like `ensureStreams` */
  lags(): Promise<ReadonlyMap<string, ProcessorLag>>;
  /** Deletes a processor's consumers with what they had not acknowledged; resolves with how many. @throws like `ensureStreams` */
  deleteConsumers(processor: string): Promise<number>;
  /** Deletes the streams of client messages and dead letters and the bucket of leases, with all that they hold. @throws like `ensureStreams` */
  deleteStreams(): Promise<void>;
}

/** Requests of the JetStream API that change nothing. */
const readings = /^(INFO|(STREAM|CONSUMER)\.(INFO|LIST|NAMES)\b)/;

export function createNatsGroup(options: NatsGroupOptions): NatsGroup {
  const subjects = createSubjects(options.group);
  const link = new Link(options);
  const requests = guarded(createRequests(link), options.mayWrite);
  const streams = [
    clientStream(subjects, options.stream),
    deadLetterStream(subjects, options.stream, options.deadLetter),
    leaseBucket(subjects, options.leaseMs, options.stream),
  ];
  return {
    get status() {
      return link.status;
    },
    onStatus: (listener) => link.onStatus(listener),
    start: async () => link.start(),
    stop: () => link.stop(),
    ensureStreams: async () => {
      const conflicts: string[] = [];
      for (const stream of streams) conflicts.push(...(await ensureStream(requests, stream)).map(sentenceOf));
      return conflicts;
    },
    inspectStreams: async () => (await Promise.all(streams.map((one) => inspectStream(requests, one)))).flat(),
    accountRoom: () => accountRoom(requests),
    ensureConsumers: async (consumer) => void (await ensureConsumers(requests, subjects, consumer)),
    lags: async () => {
      const lags = new Map<string, ProcessorLag>();
      for (const { config, num_pending, num_ack_pending } of await listConsumers(requests, subjects.stream)) {
        const processor = config.metadata?.[metadataKeys.processor];
        if (processor === undefined) continue;
        const { pendingMessages = 0, unacknowledgedMessages = 0, consumers = 0 } = lags.get(processor) ?? {};
        lags.set(processor, {
          pendingMessages: pendingMessages + num_pending,
          unacknowledgedMessages: unacknowledgedMessages + num_ack_pending,
          consumers: consumers + 1,
        });
      }
      return lags;
    },
    deleteConsumers: (processor) => deleteConsumers(requests, subjects, processor),
    deleteStreams: async () => {
      for (const { name } of streams) {
        try {
          await requests.api(`STREAM.DELETE.${name}`);
        } catch (err) {
          if (!isRefused(err, jetStreamCodes.streamNotFound)) throw err;
        }
      }
    },
  };
}

function guarded(requests: Requests, mayWrite: () => boolean = () => true): Requests {
  return {
    ...requests,
    api: (subject, body) => {
      if (readings.test(subject) || mayWrite()) return requests.api(subject, body);
      return Promise.reject(new HydrogenError('HYD_BUS_UNREACHABLE', 'changes are no longer ours to make'));
    },
  };
}
