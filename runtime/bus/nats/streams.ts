/** Streams of a group: created where missing, adapted where that can be done in place, and never deleted to make them fit. */

import type { StreamConfig, StreamInfo } from 'nats';
import type { Subjects } from '../subjects.ts';
import { isRefused, JetStreamError, jetStreamCodes, type Requests } from './requests.ts';

/**
 * How the stream of client messages is kept. The other streams and the leases use the same storage and replicas.
 */
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

/** A setting that differs from what is wanted and can't be changed in place. */
export interface Conflict {
  readonly object: string;
  readonly field: string;
  readonly have: unknown;
  readonly want: unknown;
}

export type WantedStream = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects' | 'retention' | 'storage'>;

const duplicateWindowMs = 120_000;
const ownerAgeMs = 24 * 3_600_000;
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
 * The rooms take no room from the stream of client messages, and may hold half as much. A message here is removed once it
 * has been acknowledged.
 */
export function waitingStream(subjects: Subjects, options: StreamOptions): WantedStream {
  return {
    name: subjects.waitingStream,
    subjects: [subjects.allWaiting],
    retention: 'workqueue' as StreamConfig['retention'],
    discard: 'new' as StreamConfig['discard'],
    duplicate_window: nanos(windowMs(waitingAgeMs(options))),
    ...kept(options, { maxAgeMs: waitingAgeMs(options), maxBytes: Math.floor(options.maxBytes / 2) }),
  };
}

/**
 * How long a parked message is kept; 0 for ever. A message can be parked at any moment of its life on the stream of client
 * messages, and processors make it a dead letter before it is older than that stream allows. Twice that age leaves them the
 * time to do so, even when no processor runs for as long as the stream of client messages keeps anything.
 */
export function waitingAgeMs({ maxAgeMs }: StreamOptions): number {
  return 2 * maxAgeMs;
}

/**
 * The key-value bucket of leases, which is a stream like any other: entries expire `leaseMs` after they were last
 * written.
 */
export function leaseBucket(subjects: Subjects, leaseMs: number, { storage, replicas }: StreamOptions): WantedStream {
  return {
    name: `KV_${subjects.leaseBucket}`,
    subjects: [`$KV.${subjects.leaseBucket}.>`],
    retention: 'limits' as StreamConfig['retention'],
    storage: storage.toLowerCase() as StreamConfig['storage'],
    num_replicas: replicas,
    max_age: nanos(leaseMs),
    max_msgs_per_subject: 1,
    discard: 'new' as StreamConfig['discard'],
    duplicate_window: nanos(Math.min(120_000, leaseMs)),
    allow_rollup_hdrs: true,
    allow_direct: true,
    deny_delete: true,
  };
}

/**
 * The key-value bucket of the owners of lanes. What a replica that has ended knew of its lanes is kept for a day; whether it
 * lives is judged by the age of its key.
 */
export function ownerBucket(subjects: Subjects, { storage, replicas }: StreamOptions): WantedStream {
  return {
    name: `KV_${subjects.ownerBucket}`,
    subjects: [`$KV.${subjects.ownerBucket}.>`],
    retention: 'limits' as StreamConfig['retention'],
    storage: storage.toLowerCase() as StreamConfig['storage'],
    num_replicas: replicas,
    max_age: nanos(ownerAgeMs),
    max_msgs_per_subject: 1,
    discard: 'new' as StreamConfig['discard'],
    allow_rollup_hdrs: true,
    allow_direct: true,
    deny_delete: true,
  };
}

/** What `ensureStream` would act on, one sentence each; nothing is changed. @throws what `Requests.api` throws */
export async function inspectStream(requests: Requests, wanted: WantedStream): Promise<string[]> {
  const object = `stream ${wanted.name}`;
  try {
    const { config } = await requests.api<StreamInfo>(`STREAM.INFO.${wanted.name}`);
    return differences(config, wanted).map((one) => sentenceOf({ object, ...one }));
  } catch (err) {
    if (!isRefused(err, jetStreamCodes.streamNotFound)) throw err;
    return [`${object} is missing`];
  }
}

/** A conflict as a sentence. */
export function sentenceOf({ object, field, have, want }: Conflict): string {
  return `${object} has ${field} ${JSON.stringify(have)} and not ${JSON.stringify(want)}`;
}

/**
 * Creates the stream or adapts it, and returns what could not be adapted; the stream is usable anyway.
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
      // Another process created it first.
      if (!isRefused(refusal, jetStreamCodes.streamNameInUse)) throw refusal;
      info = await requests.api<StreamInfo>(`STREAM.INFO.${wanted.name}`);
    }
  }
  const object = `stream ${wanted.name}`;
  const differing = differences(info.config, wanted);
  const isImmutable = (field: string): boolean => (immutable as readonly string[]).includes(field);
  const conflicts = differing.filter(({ field }) => isImmutable(field)).map((one) => ({ object, ...one }));
  for (const one of differing.filter(({ field }) => !isImmutable(field))) {
    // One by one, so that a refused change (too many replicas, say) does not prevent the others.
    try {
      const { config } = await requests.api<StreamInfo>(`STREAM.UPDATE.${wanted.name}`, {
        ...info.config,
        [one.field]: one.want,
      });
      info = { ...info, config };
    } catch (err) {
      if (!(err instanceof JetStreamError)) throw err;
      conflicts.push({ object, ...one, want: `${JSON.stringify(one.want)}: ${err.message}` });
    }
  }
  return conflicts;
}

/** Fields of `want` that differ in `have`. */
export function differences(have: object, want: object): { field: string; have: unknown; want: unknown }[] {
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

export function nanos(ms: number): number {
  return ms * 1_000_000;
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

// Zero means that nothing expires.
function windowMs(maxAgeMs: number): number {
  return maxAgeMs === 0 ? duplicateWindowMs : Math.min(duplicateWindowMs, maxAgeMs);
}
