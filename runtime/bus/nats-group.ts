/**
 * A group's streams and consumers seen from outside of its data path: what an operator creates ahead of the pods and
 * removes when a processor is deleted. It connects like a bus and carries no messages.
 */

import type { NatsBusOptions } from './nats.ts';
import { createLink } from './nats-connection.ts';
import { deleteConsumers, ensureConsumers, listConsumers, metadataKeys } from './nats-durables.ts';
import { createRequests, isRefused, jetStreamCodes } from './nats-requests.ts';
import { type Conflict, clientStream, deadLetterStream, ensureStream } from './nats-streams.ts';
import type { BusStatus, ConsumerOptions } from './port.ts';
import { createSubjects } from './subjects.ts';

/** How far a processor is behind, over all of its consumers. */
export interface ProcessorLag {
  /** Messages that no replica has been given yet. */
  readonly pendingMessages: number;
  /** Messages that replicas have been given and not finished. */
  readonly unacknowledgedMessages: number;
}

export interface NatsGroup {
  readonly status: BusStatus;
  onStatus(listener: (status: BusStatus, cause?: unknown) => void): void;
  /** Begins to connect and resolves at once. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Creates or adapts the streams of client messages and dead letters; resolves with what can't be changed in place. @throws {HydrogenError} HYD_BUS_UNREACHABLE, {JetStreamError} */
  ensureStreams(): Promise<Conflict[]>;
  /** Creates or adapts the consumers of a processor. @throws like `ensureStreams` */
  ensureConsumers(options: ConsumerOptions): Promise<void>;
  /** How far every processor of the group is behind, by name. @throws like `ensureStreams` */
  lags(): Promise<ReadonlyMap<string, ProcessorLag>>;
  /** Deletes a processor's consumers with what they had not acknowledged; resolves with how many. @throws like `ensureStreams` */
  deleteConsumers(processor: string): Promise<number>;
  /** Deletes the streams of client messages and dead letters and the bucket of leases, with all that they hold. @throws like `ensureStreams` */
  deleteStreams(): Promise<void>;
}

export function createNatsGroup(options: Omit<NatsBusOptions, 'leaseMs' | 'publishLimits'>): NatsGroup {
  const subjects = createSubjects(options.group);
  const link = createLink(options);
  const requests = createRequests(link);
  return {
    get status() {
      return link.status;
    },
    onStatus: (listener) => link.onStatus(listener),
    start: async () => link.start(),
    stop: () => link.stop(),
    ensureStreams: async () => [
      ...(await ensureStream(requests, clientStream(subjects, options.stream))),
      ...(await ensureStream(requests, deadLetterStream(subjects, options.stream, options.deadLetter))),
    ],
    ensureConsumers: async (consumer) => void (await ensureConsumers(requests, subjects, consumer)),
    lags: async () => {
      const lags = new Map<string, ProcessorLag>();
      for (const { config, num_pending, num_ack_pending } of await listConsumers(requests, subjects.stream)) {
        const processor = config.metadata?.[metadataKeys.processor];
        if (processor === undefined) continue;
        const { pendingMessages = 0, unacknowledgedMessages = 0 } = lags.get(processor) ?? {};
        lags.set(processor, {
          pendingMessages: pendingMessages + num_pending,
          unacknowledgedMessages: unacknowledgedMessages + num_ack_pending,
        });
      }
      return lags;
    },
    deleteConsumers: (processor) => deleteConsumers(requests, subjects, processor),
    deleteStreams: async () => {
      for (const stream of [subjects.stream, subjects.deadLetterStream, `KV_${subjects.leaseBucket}`]) {
        try {
          await requests.api(`STREAM.DELETE.${stream}`);
        } catch (err) {
          if (!isRefused(err, jetStreamCodes.streamNotFound)) throw err;
        }
      }
    },
  };
}
