/**
 * Durable consumers of a processor. A change of ordering or of the number of partitions needs other consumers: the new
 * ones start at the oldest message that an old one had not acknowledged, and only when all exist are the old ones
 * deleted. Nothing is lost; what the old ones had open, or had acknowledged out of order, may be delivered again.
 */

import type { ConsumerConfig, ConsumerInfo, StreamInfo } from 'nats';
import type { ConsumerOptions } from '../port/messages.ts';
import { checkedName, type Subjects } from '../subjects.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';
import { differences, nanos } from './streams.ts';

/** The consumers that deliver to one processor: one, or one per partition when it is ordered. */
export interface ConsumerSet {
  readonly names: readonly string[];
  readonly isOrdered: boolean;
}

/** Consumer metadata: whose it is, and which set of consumers it is one of. */
export const metadataKeys = { processor: 'hydrogen-processor', shape: 'hydrogen-shape' } as const;

/**
 * The durable consumers that `options` ask for, without a deliver policy: `<processor>`, or `<processor>_p<k>of<n>`,
 * which is no other processor's name because a DNS label holds no underscore. Each shape has names of its own: a
 * consumer whose filter were narrowed in place would let go of messages before another holds them.
 */
export function wantedConsumers(subjects: Subjects, options: ConsumerOptions): Partial<ConsumerConfig>[] {
  const processor = checkedName(options.processor);
  const isOrdered = options.ordering === 'PerConnection';
  const lanes = isOrdered ? options.partitions : 1;
  return Array.from({ length: lanes }, (_, lane) => ({
    durable_name: isOrdered ? `${processor}_p${lane}of${lanes}` : processor,
    ack_policy: 'explicit' as ConsumerConfig['ack_policy'],
    ack_wait: nanos(options.ackTimeoutMs),
    max_deliver: -1,
    max_ack_pending: isOrdered ? 1 : Math.max(1024, 8 * options.maxInFlight),
    filter_subjects: subjects.filters(options.endpoints, lane, lanes),
    metadata: { [metadataKeys.processor]: processor, [metadataKeys.shape]: isOrdered ? `p${lanes}` : 'u' },
  }));
}

/**
 * Creates or adapts the consumers of one processor and removes those that they replace.
 * @param follow when the processor's consumers exist in another shape, use those instead of replacing them: what a
 *   replica that already runs does, so that replicas with different settings don't undo each other's work for ever
 * @throws what `Requests.api` throws
 */
export async function ensureConsumers(
  requests: Requests,
  subjects: Subjects,
  options: ConsumerOptions,
  follow = false,
): Promise<ConsumerSet> {
  const wanted = wantedConsumers(subjects, options);
  const shape = shapeOf(wanted[0]);
  // Read before the consumers are, so that a consumer with nothing pending then has seen everything up to here.
  const { state } = await requests.api<StreamInfo>(`STREAM.INFO.${subjects.stream}`);
  const all = await listConsumers(requests, subjects.stream);
  const mine = all.filter(({ config }) => config.metadata?.[metadataKeys.processor] === options.processor);
  const others = mine.filter(({ config }) => shapeOf(config) !== shape);
  if (follow && others.length > 0) {
    const kept = others.filter(({ config }) => shapeOf(config) === shapeOf(others[0]?.config));
    return { names: kept.map(({ name }) => name), isOrdered: kept.some(({ config }) => config.max_ack_pending === 1) };
  }
  const startSequence = Math.min(...others.map((info) => firstOpen(info, state.last_seq)));
  const start: Partial<ConsumerConfig> =
    others.length === 0
      ? { deliver_policy: 'new' as ConsumerConfig['deliver_policy'] }
      : { deliver_policy: 'by_start_sequence' as ConsumerConfig['deliver_policy'], opt_start_seq: startSequence };
  await Promise.all(
    wanted.map(async (config) => {
      const existing = all.find(({ name }) => name === config.durable_name)?.config;
      if (existing !== undefined && differences(normalised(existing), config).length === 0) return;
      const { filter_subject: _, ...base } = existing ?? start;
      await requests.api(`CONSUMER.CREATE.${subjects.stream}.${config.durable_name}`, {
        stream_name: subjects.stream,
        config: { ...base, name: config.durable_name, ...config },
      });
    }),
  );
  const names = wanted.map(({ durable_name }) => durable_name ?? '');
  await Promise.all(
    others
      .filter(({ name }) => !names.includes(name))
      .map(({ name }) => deleteConsumer(requests, subjects.stream, name)),
  );
  return { names, isOrdered: options.ordering === 'PerConnection' };
}

/** Deletes every consumer of a processor; what they had not acknowledged is gone. Resolves with how many there were. */
export async function deleteConsumers(requests: Requests, subjects: Subjects, processor: string): Promise<number> {
  const all = await listConsumers(requests, subjects.stream);
  const mine = all.filter(({ config }) => config.metadata?.[metadataKeys.processor] === processor);
  await Promise.all(mine.map(({ name }) => deleteConsumer(requests, subjects.stream, name)));
  return mine.length;
}

/** Every consumer of a stream; none when the stream does not exist. */
export async function listConsumers(requests: Requests, stream: string): Promise<ConsumerInfo[]> {
  const found: ConsumerInfo[] = [];
  for (;;) {
    try {
      const page = await requests.api<{ total: number; consumers: ConsumerInfo[] | null }>(`CONSUMER.LIST.${stream}`, {
        offset: found.length,
      });
      found.push(...(page.consumers ?? []));
      if (found.length >= page.total || !page.consumers?.length) return found;
    } catch (err) {
      if (isRefused(err, jetStreamCodes.streamNotFound)) return [];
      throw err;
    }
  }
}

/** Filters of a consumer, whichever of the two fields holds them. */
export function filtersOf(config: ConsumerConfig): readonly string[] {
  return config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []);
}

/** The oldest sequence that this consumer may not have acknowledged. */
function firstOpen(info: ConsumerInfo, lastSequence: number): number {
  if (info.num_ack_pending > 0) return info.ack_floor.stream_seq + 1;
  return (info.num_pending > 0 ? info.delivered.stream_seq : lastSequence) + 1;
}

async function deleteConsumer(requests: Requests, stream: string, name: string): Promise<void> {
  try {
    await requests.api(`CONSUMER.DELETE.${stream}.${name}`);
  } catch (err) {
    if (!isRefused(err, jetStreamCodes.consumerNotFound)) throw err;
  }
}

function normalised(config: ConsumerConfig): ConsumerConfig {
  return { ...config, filter_subjects: [...filtersOf(config)] };
}

function shapeOf(config: Partial<ConsumerConfig> | undefined): string | undefined {
  return config?.metadata?.[metadataKeys.shape];
}
