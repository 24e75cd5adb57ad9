/**
 * The durable consumers of a processor: created, adapted, replaced and deleted so that every stored message stays covered
 * until it is consumed, whoever else changes them at the same time and whenever somebody dies. The protocol and why it
 * loses nothing: docs/decisions/2026-11-26-consumer-transitions.md. In short:
 *
 * - A change of ordering or of the number of lanes makes a new set of consumers, of the next generation. It starts at
 *   the oldest message that an existing consumer may not have consumed.
 * - A consumer is deleted only while a later set is seen to be complete, to start early enough and to cover its endpoints.
 * - Filters are only widened. Narrowing is a step of its own, once gateways publish no more of what is left out and
 *   everything that they had published is consumed.
 *
 * What was open at a replaced consumer, or was consumed while it was being replaced, may be delivered again.
 */

import type { ConsumerConfig, StreamInfo } from 'nats';
import { sleep } from '../../../process/timing.ts';
import type { ConsumerOptions } from '../port/messages.ts';
import { checkedName, type Subjects } from '../subjects.ts';
import type { Announcer } from './announcements.ts';
import { changing, deleteConsumer, ensureConsumer, maxUnsettled, type WantedConsumer } from './consumer-changes.ts';
import {
  compareSets,
  coversEntries,
  entriesOf,
  generationOf,
  isComplete,
  isEntriesName,
  isNameOf,
  isSameShape,
  type LaneSet,
  laneSet,
  ownedBy,
  type Shape,
  setsOf,
  slotOf,
} from './consumer-sets.ts';
import {
  consumerNames,
  filtersOf,
  isStreamCurrent,
  type KnownConsumer,
  metadataKeys,
  readConsumers,
  type StreamConsumers,
} from './consumer-view.ts';
import { endpointsOf } from './coverage.ts';
import { isSameEndpointSet, widened, widenedBy } from './endpoint-sets.ts';
import {
  type EntriesConsumer,
  ensureEntries,
  entriesStart,
  hasEntriesOf,
  isWider,
  narrowEntries,
  needsEntries,
  takenOver,
  usedEntries,
} from './entry-consumers.ts';
import { allEntryEndpoints } from './entry-coverage.ts';
import { firstOpen } from './first-open.ts';
import type { Requests } from './requests.ts';
import { nanos, type StreamOptions } from './streams.ts';

/** What changing the consumers of a group takes. */
export interface ConsumerTools {
  readonly options: { readonly stream: StreamOptions };
  readonly requests: Requests;
  readonly subjects: Subjects;
  readonly announcer: Announcer;
}

/** The consumers that deliver to one processor: one, or one per lane when it is ordered. */
export interface ConsumerSet {
  readonly names: readonly string[];
  /** The set that they are. */
  readonly tag: string;
  /** They are lanes, each of which belongs to one replica. */
  readonly isOrdered: boolean;
  /** They cover endpoints that are no longer wanted, until `narrowConsumers` has succeeded. */
  readonly isWide: boolean;
  /** The consumers of its entries. */
  readonly entries: readonly EntriesConsumer[];
}

/** Deliveries that the owner of a lane may have open in it: as many as a replica ever has open without their payloads. */
const maxOpenPerLane = 32_768;
/** A lane's messages go to another replica when the lane does. The time-out of each plays no part. */
const laneAckWaitMs = 3_600_000;
/** How long gateways may take to read new consumers before the old ones are deleted. Nothing is lost if they take longer. */
const noticeMs = 1000;
/** Checks of a narrowing that everything published before it is consumed. After the last one it waits for its next try. */
const drainAttempts = 10;
const drainPollMs = 200;

/**
 * Creates or adapts the consumers of one processor and deletes those that they replace.
 * @param follow when the processor's consumers exist in another shape, use those instead of replacing them. A replica
 *   that already runs does so, because replicas with different settings would otherwise keep undoing each other's work
 * @param present the existing consumers, if they have just been read
 * @throws {HydrogenError} HYD_BUS_UNREACHABLE also while not all consumers are known or others are changing them: try
 *   again; what `Requests.api` throws
 */
export async function ensureConsumers(
  tools: ConsumerTools,
  options: ConsumerOptions,
  follow = false,
  present?: StreamConsumers,
): Promise<ConsumerSet> {
  const { requests, subjects } = tools;
  const processor = checkedName(options.processor);
  const view = present ?? (await readConsumers(requests, subjects.stream));
  const isOrdered = options.ordering === 'PerConnection';
  const shape: Shape = isOrdered ? { kind: 'lanes', lanes: options.partitions } : { kind: 'shared', lanes: 1 };
  const sets = setsOf(processor, view.consumers);
  const current = sets.findLast(isComplete);
  const entries = entriesOf(processor, view.consumers);
  if (follow && current !== undefined && mustFollow(current, sets, shape)) {
    return used(current, false, usedEntries(processor, view, current, false));
  }
  const { target, start } = await planned(tools, processor, shape, view);
  const own = widened(options.endpoints, ownedBy(processor, view.consumers), subjects);
  const endpoints = coversEntries(shape) ? widenedBy(own, allEntryEndpoints(entries, subjects)) : own;
  const wanted = wantedConsumers(subjects, { ...options, endpoints }, target);
  const hasEntries = needsEntries(target, view, processor, subjects);
  const changes = await Promise.all([
    ...wanted.map((config) => ensureConsumer(tools, config, presentOf(target, config), start)),
    ...(hasEntries ? [ensureEntries(tools, options, target, view, start)] : []),
  ]);
  if (changes.some((change) => change !== 'kept')) {
    if (target.shape.kind === 'lanes' && changes.includes('updated')) await checkTakes(tools, target);
    // Advisories tell nobody of a filter that was widened.
    const isWider = !isSameEndpointSet(endpoints, widened([], ownedBy(processor, view.consumers), subjects));
    tools.announcer.tell(isWider ? { processor, kept: 'all' } : { processor });
  }
  const isEmptied = isOrdered && hasEntries;
  const isWide =
    isEmptied || !isSameEndpointSet(endpoints, options.endpoints) || isWider(entries, options, target, subjects);
  const readers = usedEntries(processor, view, target, hasEntries);
  if (sets.every(({ tag }) => tag === target.tag) && takenOver(target, processor, view.consumers).length === 0) {
    // No list showed another set. The names show one that somebody has made meanwhile, and cost far less.
    const names = changes.includes('created') ? await consumerNames(requests, subjects.stream) : [];
    const isAlone = names.every(
      (name) => !isNameOf(processor, name) || isEntriesName(name) || target.names.includes(name),
    );
    if (isAlone) return used(target, isWide, readers);
  }
  const { set, isDone } = await retire(tools, processor, target);
  return used(set, isWide || !isDone, readers);
}

/**
 * Takes endpoints that `options` no longer name out of the filters of its consumers. Before that, the gateways stop
 * publishing there, and what they published is consumed. Resolves with false when that has not happened yet.
 * @param leaseMs how long to wait for a gateway that does not answer
 * @param isWanted false once `options` have been replaced, from when on nothing is changed
 * @throws what `ensureConsumers` throws
 */
export async function narrowConsumers(
  tools: ConsumerTools,
  options: ConsumerOptions,
  leaseMs: number,
  isWanted: () => boolean,
): Promise<boolean> {
  const { requests, subjects, announcer } = tools;
  const { processor, endpoints } = options;
  await announcer.announce(endpoints === undefined ? { processor } : { processor, kept: endpoints }, leaseMs);
  const { state } = await requests.api<StreamInfo>(`STREAM.INFO.${subjects.stream}`);
  for (let attempt = 0; attempt < drainAttempts; attempt++) {
    if (attempt > 0) await sleep(drainPollMs);
    const view = await readConsumers(requests, subjects.stream);
    const sets = setsOf(processor, view.consumers);
    const set = sets.at(-1);
    if (set === undefined || !isComplete(set)) return false;
    if (sets.length > 1) {
      if (!(await retire(tools, processor, set)).isDone) return false;
      continue;
    }
    const all = [...set.present, ...entriesOf(processor, view.consumers)];
    if ((await firstOpen(requests, subjects.stream, view, all)) <= state.last_seq) continue;
    if (!isWanted()) return false;
    const wanted = wantedConsumers(subjects, options, set);
    await Promise.all(wanted.map((config) => ensureConsumer(tools, config, presentOf(set, config), 0)));
    await narrowEntries(tools, options, set, view);
    return true;
  }
  return false;
}

/**
 * Deletes every consumer of a processor, once the gateways publish no more for it; messages that its consumers had not
 * acknowledged are gone. Resolves with the number of consumers.
 * @param present the existing consumers, if they have just been read
 * @param leaseMs how long to wait for a gateway that does not answer
 * @throws what `ensureConsumers` throws
 */
export async function deleteConsumers(
  { requests, subjects, announcer }: ConsumerTools,
  processor: string,
  leaseMs: number,
  present?: StreamConsumers,
): Promise<number> {
  const { consumers } = present ?? (await readConsumers(requests, subjects.stream));
  const mine = [...ownedBy(processor, consumers), ...entriesOf(processor, consumers)];
  if (mine.length === 0) return 0;
  await announcer.announce({ processor, kept: [] }, leaseMs);
  await Promise.all(mine.map(({ name }) => deleteConsumer(requests, subjects.stream, name)));
  return mine.length;
}

/** True if a replica that already runs leaves these consumers as they are. */
function mustFollow(current: LaneSet, sets: readonly LaneSet[], wanted: Shape): boolean {
  if (current.shape.kind === 'partitions') return false;
  // What is below a set of lanes was left over, or made again by an earlier release that does not know lanes.
  const isLast = current.shape.kind === 'lanes' && current === sets.at(-1);
  return !isSameShape(current.shape, wanted) || (sets.length > 1 && !isLast);
}

/**
 * A lane that was taken over while its consumer was adapted may have a new consumer that was not. Whoever takes a lane over
 * compares the two before it deletes the old one, so one of both sees it.
 */
async function checkTakes({ requests, subjects }: ConsumerTools, { tag, names }: LaneSet): Promise<void> {
  const present = await consumerNames(requests, subjects.stream);
  const slots = new Set(names.map(slotOf));
  const isTaken = present.some((name) => slots.has(slotOf(name)) && !names.includes(name));
  if (isTaken) throw changing(tag);
}

/** The set to use, and the first message for those of its consumers that are to be created. */
async function planned(
  { requests, subjects }: ConsumerTools,
  processor: string,
  shape: Shape,
  view: StreamConsumers,
): Promise<{ readonly target: LaneSet; readonly start: number }> {
  const own = ownedBy(processor, view.consumers);
  const beside = coversEntries(shape) ? entriesOf(processor, view.consumers) : [];
  const mine = [...own, ...beside];
  const top = setsOf(processor, view.consumers).at(-1);
  const isSame = top !== undefined && isSameShape(top.shape, shape);
  if (isSame && takenOver(top, processor, view.consumers).length === beside.length) {
    const others = mine.filter((one) => !top.present.some(({ name }) => name === one.name));
    const start = await firstOpen(requests, subjects.stream, view, others);
    const isEarly = startOf(top) <= start && entriesStart(top, processor, view, subjects) <= start;
    if (others.length === 0 || isEarly) return { target: top, start };
  }
  const last = Math.max(top?.generation ?? -1, ...beside.map(({ name }) => generationOf(name)));
  const start = await firstOpen(requests, subjects.stream, view, mine);
  return { target: laneSet(processor, shape, last + 1), start };
}

/**
 * Deletes the consumers of earlier sets, and returns the set that takes their place: `target`, or a later one that somebody
 * else has completed meanwhile. They stay while a server is behind, and those of releases without lanes while replicas of
 * such a release wait there: these would make them again, from the end of the stream.
 */
async function retire(
  tools: ConsumerTools,
  processor: string,
  target: LaneSet,
): Promise<{ readonly set: LaneSet; readonly isDone: boolean }> {
  const { requests, subjects, announcer } = tools;
  const view = await readConsumers(requests, subjects.stream);
  const sets = setsOf(processor, view.consumers);
  const current = sets.findLast(isComplete);
  if (current === undefined || compareSets(current, target) < 0) throw changing(processor);
  const replaced = sets.slice(0, sets.indexOf(current));
  const isUsed = replaced.some(({ shape, present }) => shape.kind === 'partitions' && present.some(isWaitedFor));
  if (isUsed) return { set: current, isDone: false };
  const earlier = [...replaced.flatMap((set) => set.present), ...takenOver(current, processor, view.consumers)];
  if (earlier.length === 0) return { set: current, isDone: true };
  const first = await firstOpen(requests, subjects.stream, view, earlier);
  const needed = widened([], earlier, subjects);
  const covered = endpointsOf(
    current.tops.flatMap((top) => (top === undefined ? [] : filtersOf(top.config))),
    subjects,
  );
  const start = startOf(current);
  if (start > first || !isSameEndpointSet(widenedBy(covered, needed), covered)) throw changing(processor);
  if (!hasEntriesOf(earlier, current, processor, view, subjects, start, first)) throw changing(processor);
  // Both sets keep what they have not acknowledged, so the earlier one may stay for as long as it must.
  if (!(await isStreamCurrent(requests, subjects.stream))) return { set: current, isDone: false };
  await announcer.announce({ processor }, noticeMs);
  await Promise.all(earlier.map(({ name }) => deleteConsumer(requests, subjects.stream, name)));
  return { set: current, isDone: true };
}

function isWaitedFor({ num_waiting }: KnownConsumer): boolean {
  return num_waiting > 0;
}

/**
 * The durable consumers of a set, without a deliver policy. Each shape has its own names: narrowing the filter of a lane
 * in place would release messages before another lane has them.
 */
function wantedConsumers(subjects: Subjects, options: ConsumerOptions, set: LaneSet): WantedConsumer[] {
  const { kind, lanes } = set.shape;
  return set.names.map((durable_name, lane) => ({
    durable_name,
    ack_policy: 'explicit' as ConsumerConfig['ack_policy'],
    ack_wait: nanos(kind === 'lanes' ? laneAckWaitMs : options.ackTimeoutMs),
    max_deliver: -1,
    max_ack_pending: kind === 'lanes' ? maxOpenPerLane : maxUnsettled,
    filter_subjects:
      kind === 'lanes'
        ? subjects.laneFilters(options.endpoints, lane, lanes)
        : subjects.filters(options.endpoints, lane, lanes),
    metadata: { [metadataKeys.processor]: options.processor, [metadataKeys.shape]: set.tag },
  }));
}

/**
 * The first message of the set as it was created; Infinity when that can't be known. A later take of a lane starts behind
 * what an earlier one has consumed.
 */
function startOf({ tops }: LaneSet): number {
  return Math.max(
    ...tops.map((top) => {
      if (top === undefined) return Number.POSITIVE_INFINITY;
      const { deliver_policy, opt_start_seq, metadata } = top.config;
      const start = metadata?.[metadataKeys.start];
      if (start !== undefined) return Number(start);
      if (deliver_policy === 'by_start_sequence') return opt_start_seq ?? Number.POSITIVE_INFINITY;
      return deliver_policy === 'all' ? 1 : Number.POSITIVE_INFINITY;
    }),
  );
}

function presentOf({ present }: LaneSet, { durable_name }: WantedConsumer): KnownConsumer | undefined {
  return present.find(({ name }) => name === durable_name);
}

function used({ names, shape, tag }: LaneSet, isWide: boolean, entries: readonly EntriesConsumer[]): ConsumerSet {
  return { names, tag, isOrdered: shape.kind !== 'shared', isWide, entries };
}
