/**
 * The durable consumer of a processor's entries. It is apart from the consumers of single messages, so that replicas of
 * releases without entries, which share those, neither get an entry nor can end one: an entry stays in the stream until
 * this consumer has acknowledged it. Each unordered set has one. A set of lanes that cover entries has none, and takes over
 * what those of earlier sets hold. A set of more lanes has one while there are entries from before. Others are emptied and
 * then deleted.
 *
 * The server deletes it once nobody has asked it for anything for an hour longer than the stream keeps a message: left
 * behind by a release that does not know it, it would hold every later entry.
 */

import type { ConsumerConfig } from 'nats';
import type { ConsumerOptions } from '../port/messages.ts';
import type { Subjects } from '../subjects.ts';
import { deleteConsumer, ensureConsumer, maxUnsettled, type WantedConsumer } from './consumer-changes.ts';
import { coversEntries, entriesName, entriesOf, generationOf, type LaneSet, ownedBy } from './consumer-sets.ts';
import { type KnownConsumer, metadataKeys, type StreamConsumers } from './consumer-view.ts';
import type { NatsCore } from './core.ts';
import { isSameEndpointSet, widenedBy } from './endpoint-sets.ts';
import { allEntryEndpoints, entryEndpoints } from './entry-coverage.ts';
import { nanos, type StreamOptions } from './streams.ts';

type Tools = Pick<NatsCore, 'requests' | 'subjects'> & { readonly options: { readonly stream: StreamOptions } };

const spareMs = 3_600_000;

/** The consumer through which a replica reads entries. */
export interface EntriesConsumer {
  readonly name: string;
  /** False: no replica was reading from it when it was last seen. */
  readonly isRead: boolean;
}

/** True if a set needs a consumer of entries beside it. */
export function needsEntries(
  set: LaneSet,
  { consumers }: StreamConsumers,
  processor: string,
  subjects: Subjects,
): boolean {
  if (set.shape.kind === 'shared') return true;
  return !coversEntries(set.shape) && laneEntries(set, processor, consumers, subjects).length > 0;
}

/**
 * Creates or adapts the consumer of entries that goes with a set. It covers the endpoints that are wanted, and those whose
 * entries the processor's consumers cover already.
 * @param start the first message that the lanes of an earlier set may still have to deliver
 * @throws what `Requests.api` throws
 */
export async function ensureEntries(
  tools: Tools,
  options: ConsumerOptions,
  set: LaneSet,
  view: StreamConsumers,
  start: number,
): Promise<'kept' | 'created' | 'updated'> {
  const { processor } = options;
  const present = entriesOf(processor, view.consumers);
  const lanes = laneEntries(set, processor, view.consumers, tools.subjects);
  const wanted = set.shape.kind === 'shared' ? options.endpoints : [];
  const endpoints = widenedBy(wanted, allEntryEndpoints([...present, ...lanes], tools.subjects));
  const config = wantedEntries(tools, { ...options, endpoints }, set);
  const existing = present.find(({ name }) => name === config.durable_name);
  return ensureConsumer(tools, config, existing, lanes.length > 0 ? start : view.lastSequence + 1);
}

/** Other consumers than a set's own that deliver entries which the set takes over. */
export function takenOver(set: LaneSet, processor: string, consumers: readonly KnownConsumer[]): KnownConsumer[] {
  if (!coversEntries(set.shape)) return [];
  return entriesOf(processor, consumers).filter(({ name }) => generationOf(name) < set.generation);
}

/** Where the consumer of entries that goes with a set starts, if it has to take anything over from lanes; otherwise 0. */
export function entriesStart(
  set: LaneSet,
  processor: string,
  { consumers }: StreamConsumers,
  subjects: Subjects,
): number {
  if (laneEntries(set, processor, consumers, subjects).length === 0) return 0;
  const own = entriesOf(processor, consumers).find(({ name }) => name === entriesName(set));
  return own?.config.opt_start_seq ?? 0;
}

/**
 * True if a set delivers all entries that `earlier` would: it covers their endpoints, and starts early enough.
 * @param start where the set's own consumers start
 * @param first the oldest message that one of `earlier` may still have to deliver
 */
export function hasEntriesOf(
  earlier: readonly KnownConsumer[],
  set: LaneSet,
  processor: string,
  { consumers }: StreamConsumers,
  subjects: Subjects,
  start: number,
  first: number,
): boolean {
  const needed = allEntryEndpoints(earlier, subjects);
  if (needed?.length === 0) return true;
  const tops = set.tops.flatMap((top) => top ?? []);
  const beside = entriesOf(processor, consumers).filter(({ name }) => name === entriesName(set));
  const own = coversEntries(set.shape) ? tops : beside;
  const from = coversEntries(set.shape) ? start : (beside[0]?.config.opt_start_seq ?? Number.POSITIVE_INFINITY);
  const covered = allEntryEndpoints(own, subjects);
  return from <= first && isSameEndpointSet(widenedBy(covered, needed), covered);
}

/**
 * Leaves out the endpoints that are no longer wanted, and deletes the consumers of entries that go with other sets. Call it
 * once everything that they covered is consumed.
 * @throws what `Requests.api` throws
 */
export async function narrowEntries(
  tools: Tools,
  options: ConsumerOptions,
  set: LaneSet,
  view: StreamConsumers,
): Promise<void> {
  const { requests, subjects } = tools;
  const wanted = set.shape.kind === 'shared' ? wantedEntries(tools, options, set) : undefined;
  const present = entriesOf(options.processor, view.consumers);
  const existing = present.find(({ name }) => name === wanted?.durable_name);
  if (wanted !== undefined) await ensureConsumer(tools, wanted, existing, view.lastSequence + 1);
  const others = present.filter((one) => one !== existing);
  await Promise.all(others.map(({ name }) => deleteConsumer(requests, subjects.stream, name)));
}

/** The consumers of a processor's entries as they were seen. */
export function seenEntries(processor: string, { consumers }: StreamConsumers): EntriesConsumer[] {
  return entriesOf(processor, consumers).map(({ name, num_waiting }) => ({ name, isRead: num_waiting > 0 }));
}

/**
 * Those from which replicas read beside a set's own consumers.
 * @param hasOwn true if the one that goes with the set exists by now
 */
export function usedEntries(
  processor: string,
  view: StreamConsumers,
  set: LaneSet,
  hasOwn: boolean,
): EntriesConsumer[] {
  if (coversEntries(set.shape)) return [];
  const found = seenEntries(processor, view);
  const own = entriesName(set);
  return !hasOwn || found.some(({ name }) => name === own) ? found : [...found, { name: own, isRead: false }];
}

/** True if some cover endpoints that are not wanted, or go with another set. */
export function isWider(
  present: readonly KnownConsumer[],
  { endpoints }: ConsumerOptions,
  set: LaneSet,
  subjects: Subjects,
): boolean {
  return present.some((one) => {
    if (set.shape.kind !== 'shared' || one.name !== entriesName(set)) return true;
    const covered = entryEndpoints(one, subjects);
    if (endpoints === undefined) return false;
    return covered === undefined || covered.some((endpoint) => !endpoints.includes(endpoint));
  });
}

/** The lanes of other sets that deliver entries. */
function laneEntries(
  set: LaneSet,
  processor: string,
  consumers: readonly KnownConsumer[],
  subjects: Subjects,
): KnownConsumer[] {
  const others = ownedBy(processor, consumers).filter((one) => !set.present.some(({ name }) => name === one.name));
  return others.filter((one) => entryEndpoints(one, subjects)?.length !== 0);
}

function wantedEntries(
  { subjects, options: { stream } }: Tools,
  options: ConsumerOptions,
  set: LaneSet,
): WantedConsumer {
  return {
    durable_name: entriesName(set),
    ack_policy: 'explicit' as ConsumerConfig['ack_policy'],
    ack_wait: nanos(options.ackTimeoutMs),
    max_deliver: -1,
    max_ack_pending: maxUnsettled,
    filter_subjects: subjects.entryFilters(options.endpoints),
    metadata: { [metadataKeys.entriesOf]: options.processor },
    ...(stream.maxAgeMs > 0 ? { inactive_threshold: nanos(stream.maxAgeMs + spareMs) } : {}),
  };
}
