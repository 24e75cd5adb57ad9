/**
 * A processor's consumers come in sets: one consumer, or one per lane when it is ordered. A change of ordering or of the
 * number of lanes makes a new set of the next generation. Generation 0 has the plain names, `chat` or `chat_p3of64`;
 * later ones carry theirs, `chat_g2` or `chat_g2_p3of64`, so that no name ever means two things. A DNS label has no
 * underscore, so none of these is another processor's name. The consumer of entries that goes with an unordered set has
 * its name and `_e`.
 */

import { type KnownConsumer, metadataKeys } from './consumer-view.ts';

/** What a set is for: `lanes` is 1 when it is not ordered. */
export interface Shape {
  readonly isOrdered: boolean;
  readonly lanes: number;
}

export interface LaneSet {
  readonly shape: Shape;
  readonly generation: number;
  /** The value of its metadata, the same in each of its consumers. */
  readonly tag: string;
  /** The names of all its consumers, by lane. */
  readonly names: readonly string[];
  /** Those that exist. */
  readonly present: readonly KnownConsumer[];
}

const entriesSuffix = '_e';

/** Releases before generations know the tags `u` and `p64`, and take every other one for a set that replaced theirs. */
const tagPattern = /^(?:u|p(\d{1,3}))(?:-g(\d{1,9}))?$/;

/** A set with those of its consumers that are among `consumers`. */
export function laneSet(
  processor: string,
  shape: Shape,
  generation: number,
  consumers: readonly KnownConsumer[] = [],
): LaneSet {
  const { isOrdered, lanes } = shape;
  const base = generation === 0 ? processor : `${processor}_g${generation}`;
  const names = isOrdered ? Array.from({ length: lanes }, (_, lane) => `${base}_p${lane}of${lanes}`) : [base];
  const tag = (isOrdered ? `p${lanes}` : 'u') + (generation === 0 ? '' : `-g${generation}`);
  const wanted = new Set(names);
  const present = consumers.filter(({ name, config }) => wanted.has(name) && tagOf(config.metadata) === tag);
  return { shape, generation, tag, names, present };
}

/** The sets of a processor, the one that counts most last: a later generation, or the greater tag of the same one. */
export function setsOf(processor: string, consumers: readonly KnownConsumer[]): LaneSet[] {
  const tags = new Set(ownedBy(processor, consumers).flatMap(({ config }) => tagOf(config.metadata) ?? []));
  const sets: LaneSet[] = [];
  for (const tag of tags) {
    const match = tagPattern.exec(tag);
    if (match === null) continue;
    const [, lanes, generation = '0'] = match;
    const shape = { isOrdered: lanes !== undefined, lanes: Number(lanes ?? 1) };
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

export function isComplete({ names, present }: LaneSet): boolean {
  return present.length === names.length;
}

export function isSameShape(a: Shape, b: Shape): boolean {
  return a.isOrdered === b.isOrdered && a.lanes === b.lanes;
}

/** The name of the consumer of entries that goes with an unordered set. */
export function entriesName({ names: [name = ''] }: LaneSet): string {
  return `${name}${entriesSuffix}`;
}

/** True if this is the name of a consumer of entries. */
export function isEntriesName(name: string): boolean {
  return name.endsWith(entriesSuffix);
}

/** The consumers of a processor's entries: usually one, or none. */
export function entriesOf(processor: string, consumers: readonly KnownConsumer[]): KnownConsumer[] {
  return consumers.filter(({ config }) => config.metadata?.[metadataKeys.entriesOf] === processor);
}

/** True if this is a consumer of an ordered set. */
export function isOrderedOne({ config }: Pick<KnownConsumer, 'config'>): boolean {
  return tagOf(config.metadata)?.startsWith('p') === true;
}

function tagOf(metadata: Readonly<Record<string, string>> | undefined): string | undefined {
  return metadata?.[metadataKeys.shape];
}
