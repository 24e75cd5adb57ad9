/**
 * The durable consumer of a processor's entries. It is apart from the consumers of single messages, so that replicas of
 * releases without entries, which share those, neither get an entry nor can end one: an entry stays in the stream until
 * this consumer has acknowledged it. Each unordered set has one, and an ordered one has none. Those of earlier sets are
 * emptied and then deleted.
 *
 * The server deletes it once nobody has asked it for anything for an hour longer than the stream keeps a message: left
 * behind by a release that does not know it, it would hold every later entry.
 */

import type { ConsumerConfig } from 'nats';
import type { ConsumerOptions } from '../port/messages.ts';
import type { Subjects } from '../subjects.ts';
import { deleteConsumer, ensureConsumer, maxUnsettled, type WantedConsumer } from './consumer-changes.ts';
import { entriesName, entriesOf, type LaneSet } from './consumer-sets.ts';
import { type KnownConsumer, metadataKeys, type StreamConsumers } from './consumer-view.ts';
import type { NatsCore } from './core.ts';
import { widenedBy } from './endpoint-sets.ts';
import { entryEndpoints } from './entry-coverage.ts';
import { nanos, type StreamOptions } from './streams.ts';

type Tools = Pick<NatsCore, 'requests' | 'subjects'> & { readonly options: { readonly stream: StreamOptions } };

const spareMs = 3_600_000;

/** The consumer through which a replica reads entries. */
export interface EntriesConsumer {
  readonly name: string;
  /** False: no replica was reading from it when it was last seen. */
  readonly isRead: boolean;
}

/**
 * Creates or adapts the consumer of entries that goes with an unordered set. It covers the endpoints that are wanted, and
 * those that the processor's entries cover already.
 * @throws what `Requests.api` throws
 */
export async function ensureEntries(
  tools: Tools,
  options: ConsumerOptions,
  set: LaneSet,
  view: StreamConsumers,
): Promise<'kept' | 'created' | 'updated'> {
  const present = entriesOf(options.processor, view.consumers);
  const covered = present.map((one) => entryEndpoints(one, tools.subjects));
  const endpoints = covered.reduce(widenedBy, options.endpoints);
  const config = wantedEntries(tools, { ...options, endpoints }, set);
  const existing = present.find(({ name }) => name === config.durable_name);
  return ensureConsumer(tools, config, existing, view.lastSequence + 1);
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
  const wanted = isOrdered(set) ? undefined : wantedEntries(tools, options, set);
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

/** The same, with the one that goes with a set, which exists by now. */
export function usedEntries(processor: string, view: StreamConsumers, set: LaneSet): EntriesConsumer[] {
  const found = seenEntries(processor, view);
  const own = entriesName(set);
  return isOrdered(set) || found.some(({ name }) => name === own) ? found : [...found, { name: own, isRead: false }];
}

/** True if some cover endpoints that are not wanted, or go with another set. */
export function isWider(
  present: readonly KnownConsumer[],
  { endpoints }: ConsumerOptions,
  set: LaneSet,
  subjects: Subjects,
): boolean {
  return present.some((one) => {
    if (isOrdered(set) || one.name !== entriesName(set)) return true;
    const covered = entryEndpoints(one, subjects);
    if (endpoints === undefined) return false;
    return covered === undefined || covered.some((endpoint) => !endpoints.includes(endpoint));
  });
}

function isOrdered({ shape }: LaneSet): boolean {
  return shape.kind !== 'shared';
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
