/**
 * A processor's consumers come in sets: one consumer, or one per lane when it is ordered. A change of ordering or of the
 * number of lanes makes a new set of the next generation. Generation 0 has the plain names, `chat` or `chat_l3of16`;
 * later ones carry theirs, `chat_g2` or `chat_g2_l3of16`. Within a set the consumer of a lane is replaced whenever the
 * lane changes hands, and its name ends with the number of this take: `chat_l3of16_t7`. So no name ever means two things.
 * A DNS label has no underscore, so none of these is another processor's name.
 *
 * The lanes of a set cover entries as well if each lane of entries lies in one of them. Any other set has a consumer of
 * entries beside it, with the name of its generation and `_e`.
 */

import { entryLanes } from '../subjects.ts';
import { type KnownConsumer, metadataKeys } from './consumer-view.ts';

/**
 * What a set is for. `shared`: one consumer for all replicas. `lanes`: ordered, each lane has an owner. `partitions`:
 * ordered as in earlier releases; it is only replaced. `lanes` is 1 when it is shared.
 */
export interface Shape {
  readonly kind: 'shared' | 'lanes' | 'partitions';
  readonly lanes: number;
}

export interface LaneSet {
  readonly shape: Shape;
  readonly generation: number;
  /** What the names of its consumers begin with. */
  readonly base: string;
  /** The value of its metadata, the same in each of its consumers. */
  readonly tag: string;
  /** The names of all its consumers, by lane: the last take where there is one. */
  readonly names: readonly string[];
  /** The consumers of these names, by lane; undefined where there is none. */
  readonly tops: readonly (KnownConsumer | undefined)[];
  /** Those that exist, earlier takes included. */
  readonly present: readonly KnownConsumer[];
}

const entriesSuffix = '_e';

/**
 * Releases with `partitions` know the tags `u` and `p64` and ignore those of lanes, or take every other one for a set that
 * replaced theirs.
 */
const tagPattern = /^(?:u|([pl])(\d{1,3}))(?:-g(\d{1,9}))?$/;
const lanePattern = /_l(\d{1,3})of\d{1,3}$/;
const takePattern = /_t(\d{1,15})$/;

/** A set with those of its consumers that are among `consumers`. */
export function laneSet(
  processor: string,
  shape: Shape,
  generation: number,
  consumers: readonly KnownConsumer[] = [],
): LaneSet {
  const { kind, lanes } = shape;
  const letter = kind === 'lanes' ? 'l' : 'p';
  const base = generation === 0 ? processor : `${processor}_g${generation}`;
  const slots = kind === 'shared' ? [base] : Array.from({ length: lanes }, (_, i) => `${base}_${letter}${i}of${lanes}`);
  const tag = (kind === 'shared' ? 'u' : `${letter}${lanes}`) + (generation === 0 ? '' : `-g${generation}`);
  const wanted = new Set(slots);
  const present = consumers.filter(({ name, config }) => wanted.has(slotOf(name)) && tagOf(config.metadata) === tag);
  const bySlot = new Map<string, KnownConsumer>();
  for (const one of present) {
    const known = bySlot.get(slotOf(one.name));
    if (known === undefined || takeOf(known.name) < takeOf(one.name)) bySlot.set(slotOf(one.name), one);
  }
  const tops = slots.map((slot) => bySlot.get(slot));
  return { shape, generation, base, tag, names: slots.map((slot, lane) => tops[lane]?.name ?? slot), tops, present };
}

/** The name of a consumer without the number of its take. */
export function slotOf(consumer: string): string {
  return consumer.replace(takePattern, '');
}

/** The number of its take: 0 until a replica has taken the lane. */
export function takeOf(consumer: string): number {
  return Number(takePattern.exec(consumer)?.[1] ?? 0);
}

/** The last take among names of consumers; undefined when the lane has none. */
export function lastTake(slot: string, names: readonly string[]): string | undefined {
  let last: string | undefined;
  for (const name of names) {
    if (slotOf(name) === slot && (last === undefined || takeOf(last) < takeOf(name))) last = name;
  }
  return last;
}

/** The sets of a processor, the one that counts most last: a later generation, or the greater tag of the same one. */
export function setsOf(processor: string, consumers: readonly KnownConsumer[]): LaneSet[] {
  const tags = new Set(ownedBy(processor, consumers).flatMap(({ config }) => tagOf(config.metadata) ?? []));
  const sets: LaneSet[] = [];
  for (const tag of tags) {
    const match = tagPattern.exec(tag);
    if (match === null) continue;
    const [, letter, lanes = '1', generation = '0'] = match;
    const kind = letter === undefined ? 'shared' : letter === 'l' ? 'lanes' : 'partitions';
    const shape: Shape = { kind, lanes: Number(lanes) };
    sets.push(laneSet(processor, shape, Number(generation), consumers));
  }
  return sets.sort(compareSets);
}

/** Negative when `a` counts less than `b`. */
export function compareSets(a: LaneSet, b: LaneSet): number {
  if (a.generation !== b.generation) return a.generation - b.generation;
  return a.tag === b.tag ? 0 : a.tag < b.tag ? -1 : 1;
}

/** True if this may be the name of one of a processor's consumers. */
export function isNameOf(processor: string, consumer: string): boolean {
  return consumer === processor || consumer.startsWith(`${processor}_`);
}

/** The consumers that belong to a processor. */
export function ownedBy(processor: string, consumers: readonly KnownConsumer[]): KnownConsumer[] {
  return consumers.filter(({ config }) => config.metadata?.[metadataKeys.processor] === processor);
}

export function isComplete({ tops }: LaneSet): boolean {
  return tops.every((top) => top !== undefined);
}

export function isSameShape(a: Shape, b: Shape): boolean {
  return a.kind === b.kind && a.lanes === b.lanes;
}

/** True if the consumers of such a set deliver entries, too. */
export function coversEntries({ kind, lanes }: Shape): boolean {
  return kind === 'lanes' && entryLanes % lanes === 0;
}

/** The name of the consumer of entries that goes with a set whose own consumers cover none. */
export function entriesName({ base }: LaneSet): string {
  return `${base}${entriesSuffix}`;
}

/** True if this is the name of a consumer of entries. */
export function isEntriesName(name: string): boolean {
  return name.endsWith(entriesSuffix);
}

/** The generation of the set that a consumer of entries goes with. */
export function generationOf(entriesConsumer: string): number {
  return Number(/_g(\d{1,9})_e$/.exec(entriesConsumer)?.[1] ?? 0);
}

/** True if the consumer of this name delivers entries: a consumer of entries, or a lane. */
export function bringsEntries(name: string): boolean {
  return isEntriesName(name) || lanePattern.test(slotOf(name));
}

/**
 * The processor that a consumer says something about: whether its entries are read. Of an ordered one the first lane speaks
 * for all, since one replica that lives owns every lane. Undefined: it says nothing.
 */
export function speaksFor({
  name,
  config: { metadata = {} },
}: Pick<KnownConsumer, 'name' | 'config'>): string | undefined {
  const [, lane] = lanePattern.exec(slotOf(name)) ?? [];
  return metadata[metadataKeys.entriesOf] ?? (lane === '0' ? metadata[metadataKeys.processor] : undefined);
}

/** The consumers of a processor's entries: usually one, or none. */
export function entriesOf(processor: string, consumers: readonly KnownConsumer[]): KnownConsumer[] {
  return consumers.filter(({ config }) => config.metadata?.[metadataKeys.entriesOf] === processor);
}

function tagOf(metadata: Readonly<Record<string, string>> | undefined): string | undefined {
  return metadata?.[metadataKeys.shape];
}
