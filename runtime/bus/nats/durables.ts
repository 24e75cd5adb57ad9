/**
 * Durable consumers of a processor. A change of ordering or of the number of partitions needs other consumers: the new
 * ones start at the oldest message that an old one had not acknowledged, and only when all exist are the old ones
 * deleted. Nothing is lost; messages that were open at the old ones, or that they had acknowledged out of order, may be
 * delivered again.
 */

import type { ConsumerConfig, ConsumerInfo, StreamInfo } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { ConsumerOptions } from '../port/messages.ts';
import { checkedName, type Subjects } from '../subjects.ts';
import { ServerExcess } from './meter.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';
import { differences, nanos } from './streams.ts';

/** The fields of a consumer that are used. */
export type KnownConsumer = Pick<
  ConsumerInfo,
  'name' | 'config' | 'num_pending' | 'num_ack_pending' | 'ack_floor' | 'delivered'
>;

/** The consumers of a stream, and the last message that was stored before they were listed. */
export interface StreamConsumers {
  readonly lastSequence: number;
  readonly consumers: readonly KnownConsumer[];
}

interface ConsumerPage {
  readonly total: number;
  readonly consumers: readonly ConsumerInfo[] | null;
}

/** The consumers that deliver to one processor: one, or one per partition when it is ordered. */
export interface ConsumerSet {
  readonly names: readonly string[];
  readonly isOrdered: boolean;
}

/**
 * Unordered deliveries that all replicas together may have open. What waits in a replica for its connection or its
 * destination counts too, so it must not be what holds others up.
 */
const maxUnsettled = 65_536;
/** A page of a real server has 256 consumers. */
const maxPages = 64;
const listTimeoutMs = 15_000;

/** Consumer metadata: the processor that it belongs to, and the set of consumers that it is part of. */
export const metadataKeys = { processor: 'hydrogen-processor', shape: 'hydrogen-shape' } as const;

/**
 * The durable consumers that `options` ask for, without a deliver policy: `<processor>`, or `<processor>_p<k>of<n>`,
 * which cannot be another processor's name because a DNS label has no underscore. Each shape has its own names:
 * narrowing a consumer's filter in place would release messages before another consumer has them.
 */
function wantedConsumers(subjects: Subjects, options: ConsumerOptions): Partial<ConsumerConfig>[] {
  const processor = checkedName(options.processor);
  const isOrdered = options.ordering === 'PerConnection';
  const lanes = isOrdered ? options.partitions : 1;
  return Array.from({ length: lanes }, (_, lane) => ({
    durable_name: isOrdered ? `${processor}_p${lane}of${lanes}` : processor,
    ack_policy: 'explicit' as ConsumerConfig['ack_policy'],
    ack_wait: nanos(options.ackTimeoutMs),
    max_deliver: -1,
    max_ack_pending: isOrdered ? 1 : maxUnsettled,
    filter_subjects: subjects.filters(options.endpoints, lane, lanes),
    metadata: { [metadataKeys.processor]: processor, [metadataKeys.shape]: isOrdered ? `p${lanes}` : 'u' },
  }));
}

/**
 * Creates or adapts the consumers of one processor and deletes those that they replace.
 * @param follow when the processor's consumers exist in another shape, use those instead of replacing them. A replica
 *   that already runs does so, because replicas with different settings would otherwise keep undoing each other's work
 * @param present the existing consumers, if they have just been read
 * @throws what `Requests.api` throws
 */
export async function ensureConsumers(
  requests: Requests,
  subjects: Subjects,
  options: ConsumerOptions,
  follow = false,
  present?: StreamConsumers,
): Promise<ConsumerSet> {
  const wanted = wantedConsumers(subjects, options);
  const shape = shapeOf(wanted[0]);
  const { lastSequence, consumers: all } = present ?? (await readConsumers(requests, subjects.stream));
  const mine = all.filter(({ config }) => config.metadata?.[metadataKeys.processor] === options.processor);
  const others = mine.filter(({ config }) => shapeOf(config) !== shape);
  if (follow && others.length > 0) {
    const kept = others.filter(({ config }) => shapeOf(config) === shapeOf(others[0]?.config));
    return { names: kept.map(({ name }) => name), isOrdered: kept.some(({ config }) => config.max_ack_pending === 1) };
  }
  const startSequence = Math.min(...others.map((info) => firstOpen(info, lastSequence)));
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

/**
 * The consumers of a stream. The result stays valid while the consumers of other processors change.
 * @throws what `Requests.api` throws
 */
export async function readConsumers(requests: Requests, stream: string): Promise<StreamConsumers> {
  // Read before the consumers are, so that a consumer with nothing pending then has seen everything up to here.
  const { state } = await requests.api<StreamInfo>(`STREAM.INFO.${stream}`);
  return { lastSequence: state.last_seq, consumers: await listConsumers(requests, stream) };
}

/**
 * Deletes every consumer of a processor; messages that they had not acknowledged are gone. Resolves with the number of
 * consumers.
 * @param all the consumers of the stream, if they have just been read
 */
export async function deleteConsumers(
  requests: Requests,
  subjects: Subjects,
  processor: string,
  all?: readonly KnownConsumer[],
): Promise<number> {
  const consumers = all ?? (await listConsumers(requests, subjects.stream));
  const mine = consumers.filter(({ config }) => config.metadata?.[metadataKeys.processor] === processor);
  await Promise.all(mine.map(({ name }) => deleteConsumer(requests, subjects.stream, name)));
  return mine.length;
}

/** Every consumer of a stream; none when the stream does not exist. @throws what `Requests.api` throws */
export async function listConsumers(requests: Requests, stream: string): Promise<KnownConsumer[]> {
  const found: KnownConsumer[] = [];
  await eachConsumer(requests, stream, ({ name, config, num_pending, num_ack_pending, ack_floor, delivered }) => {
    found.push({ name, config: withoutNested(config), num_pending, num_ack_pending, ack_floor, delivered });
  });
  return found;
}

/** Calls `visit` with every consumer of a stream, page by page. @throws what `Requests.api` throws */
export async function eachConsumer(
  requests: Requests,
  stream: string,
  visit: (info: ConsumerInfo) => void,
): Promise<void> {
  const deadlineMs = performance.now() + listTimeoutMs;
  let count = 0;
  for (let page = 0; page < maxPages && performance.now() < deadlineMs; page++) {
    try {
      const { total, consumers } = await requests.api<ConsumerPage>(`CONSUMER.LIST.${stream}`, { offset: count });
      for (const info of consumers ?? []) visit(info);
      count += consumers?.length ?? 0;
      if (count >= total || !consumers?.length) return;
    } catch (err) {
      if (isRefused(err, jetStreamCodes.streamNotFound)) return;
      throw err;
    }
  }
  const cause = new ServerExcess(`the server lists more consumers of ${stream} than are read`);
  throw new HydrogenError('HYD_BUS_UNREACHABLE', cause.message, { cause });
}

/**
 * A configuration consists of values, lists of values and flat objects. Anything else that a server sends only wastes
 * memory.
 */
function withoutNested(config: ConsumerConfig): ConsumerConfig {
  const isFlat = (value: unknown): boolean =>
    typeof value !== 'object' || value === null || Object.values(value).every((one) => typeof one !== 'object');
  return Object.fromEntries(Object.entries(config).filter(([, value]) => isFlat(value))) as unknown as ConsumerConfig;
}

/** Filters of a consumer, from whichever of the two fields has them. */
export function filtersOf(config: ConsumerConfig): readonly string[] {
  return config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []);
}

/** The oldest sequence that this consumer may not have acknowledged. */
function firstOpen(info: KnownConsumer, lastSequence: number): number {
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
