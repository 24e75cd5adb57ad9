/**
 * Streams and durable consumers of a group: created where missing, adapted where that can be done in place. Nothing is
 * ever deleted to make it fit, except consumers of the same processor whose place others have taken.
 *
 * A change of ordering or of the number of partitions needs other consumers. The new ones start at the oldest message
 * that an old one had not acknowledged and only then are the old ones deleted: nothing is lost, and what the old ones
 * had acknowledged out of order or had open is delivered again.
 */

import type { ConsumerConfig, ConsumerInfo, StreamConfig, StreamInfo } from 'nats';
import { isRefused, jetStreamCodes, type Requests } from './nats-requests.ts';
import type { ConsumerOptions } from './port.ts';
import { checkedName, type Subjects } from './subjects.ts';

/** How the stream of client messages is kept. The dead-letter stream and the leases share storage and replicas. */
export interface StreamOptions {
  readonly storage: 'File' | 'Memory';
  readonly replicas: number;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

export interface DeadLetterOptions {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** A setting that exists otherwise than wanted and can't be changed in place. */
export interface Conflict {
  readonly object: string;
  readonly field: string;
  readonly have: unknown;
  readonly want: unknown;
}

/** The consumers that deliver to one processor. */
export interface Lanes {
  readonly names: readonly string[];
  readonly isOrdered: boolean;
}

export type WantedStream = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects' | 'retention' | 'storage'>;

/** Consumer metadata: whose it is, and which set of consumers it is one of. */
export const metadataKeys = { processor: 'hydrogen-processor', shape: 'hydrogen-shape' } as const;

const duplicateWindowMs = 120_000;
const immutable = ['retention', 'storage'] as const;

export function clientStream(subjects: Subjects, options: StreamOptions): WantedStream {
  return {
    name: subjects.stream,
    subjects: [subjects.allClientMessages],
    retention: 'interest' as StreamConfig['retention'],
    discard: 'new' as StreamConfig['discard'],
    duplicate_window: nanos(windowMs(options.maxAgeMs)),
    ...kept(options, options),
  };
}

export function deadLetterStream(subjects: Subjects, options: StreamOptions, letters: DeadLetterOptions): WantedStream {
  return {
    name: subjects.deadLetterStream,
    subjects: [subjects.allDeadLetters],
    retention: 'limits' as StreamConfig['retention'],
    discard: 'new' as StreamConfig['discard'],
    duplicate_window: nanos(windowMs(letters.maxAgeMs)),
    ...kept(options, letters),
  };
}

/**
 * Creates the stream or adapts it, and returns what could not be adapted; the stream is usable all the same.
 * @throws what `Requests.api` throws
 */
export async function ensureStream(requests: Requests, wanted: WantedStream): Promise<Conflict[]> {
  let info: StreamInfo;
  try {
    info = await requests.api<StreamInfo>(`STREAM.INFO.${wanted.name}`);
  } catch (err) {
    if (!isRefused(err, jetStreamCodes.streamNotFound)) throw err;
    try {
      await requests.api(`STREAM.CREATE.${wanted.name}`, wanted);
      return [];
    } catch (refusal) {
      // Another process made it first.
      if (!isRefused(refusal, jetStreamCodes.streamNameInUse)) throw refusal;
      info = await requests.api<StreamInfo>(`STREAM.INFO.${wanted.name}`);
    }
  }
  const object = `stream ${wanted.name}`;
  const differing = differences(info.config, wanted);
  const isImmutable = (field: string): boolean => (immutable as readonly string[]).includes(field);
  const conflicts = differing.filter(({ field }) => isImmutable(field)).map((one) => ({ object, ...one }));
  for (const one of differing.filter(({ field }) => !isImmutable(field))) {
    // One by one, so that a refused change (too many replicas, say) does not keep the others from being made.
    try {
      const { config } = await requests.api<StreamInfo>(`STREAM.UPDATE.${wanted.name}`, {
        ...info.config,
        [one.field]: one.want,
      });
      info = { ...info, config };
    } catch (err) {
      if (!isRefused(err, codeOf(err))) throw err;
      conflicts.push({ object, ...one, want: `${JSON.stringify(one.want)}: ${messageOf(err)}` });
    }
  }
  return conflicts;
}

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
): Promise<Lanes> {
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

function kept(
  { storage, replicas }: StreamOptions,
  { maxAgeMs, maxBytes }: DeadLetterOptions,
): Pick<StreamConfig, 'storage' | 'num_replicas' | 'max_age' | 'max_bytes'> {
  return {
    storage: storage.toLowerCase() as StreamConfig['storage'],
    num_replicas: replicas,
    max_age: nanos(maxAgeMs),
    max_bytes: maxBytes,
  };
}

// Zero means that nothing ages.
function windowMs(maxAgeMs: number): number {
  return maxAgeMs === 0 ? duplicateWindowMs : Math.min(duplicateWindowMs, maxAgeMs);
}

function differences(have: object, want: object): { field: string; have: unknown; want: unknown }[] {
  const existing: Record<string, unknown> = { ...have };
  return Object.entries(want)
    .filter(([field, value]) => !covers(existing[field], value))
    .map(([field, value]) => ({ field, have: existing[field], want: value }));
}

// The server adds metadata of its own, and may list subjects in another order.
function covers(have: unknown, want: unknown): boolean {
  if (Array.isArray(want)) {
    return Array.isArray(have) && have.length === want.length && want.every((item) => have.includes(item));
  }
  if (typeof want !== 'object' || want === null) return have === want;
  const existing: Record<string, unknown> = { ...(have as object | undefined) };
  return Object.entries(want).every(([key, value]) => existing[key] === value);
}

function normalised(config: ConsumerConfig): ConsumerConfig {
  return { ...config, filter_subjects: [...filtersOf(config)] };
}

function shapeOf(config: Partial<ConsumerConfig> | undefined): string | undefined {
  return config?.metadata?.[metadataKeys.shape];
}

function codeOf(err: unknown): number {
  return typeof err === 'object' && err !== null && 'code' in err && typeof err.code === 'number' ? err.code : -1;
}

function messageOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}

export function nanos(ms: number): number {
  return ms * 1_000_000;
}
