/**
 * For which endpoints a gateway may write entries. An entry must be kept for every processor that covers the endpoint, so
 * each of them needs consumers that cover its entries: one of all lanes, or the lanes of an ordered set. And they should be
 * read. Processors of earlier releases have none, and neither have ordered ones with more lanes than entries have.
 */

import type { Subjects } from '../subjects.ts';
import { coversEntries, entriesOf, type LaneSet, ownedBy, setsOf, slotOf } from './consumer-sets.ts';
import { filtersOf, type KnownConsumer, metadataKeys } from './consumer-view.ts';
import { createCoverage, type Restrictions } from './coverage.ts';
import { widenedBy } from './endpoint-sets.ts';

export interface EntryCoverage {
  /** True if an entry to this endpoint is kept for every processor that covers it, and some processor does. */
  keeps(endpoint: string): boolean;
  /** True if each of these processors reads its entries, too, and none has consumers that cover no entries. */
  isRead(endpoint: string): boolean;
}

/** Endpoints whose entries are covered; undefined: all. */
type Endpoints = readonly string[] | undefined;

/** Consumers that together cover entries. */
interface Source {
  readonly endpoints: Endpoints;
  /** Those of which each must be read, without the numbers of takes. */
  readonly readers: readonly string[];
}

interface Reader {
  readonly covers: (endpoint: string) => boolean;
  readonly sources: readonly Source[];
  /** False: some of its consumers belong to a set that covers no entries. */
  readonly isWhole: boolean;
}

/** @param isRead whether somebody reads from the consumer of this name, which is without the number of a take */
export function createEntryCoverage(
  consumers: readonly KnownConsumer[],
  subjects: Subjects,
  restrictions: Restrictions,
  isRead: (consumer: string) => boolean,
): EntryCoverage {
  const processors = new Set(consumers.flatMap(({ config }) => config.metadata?.[metadataKeys.processor] ?? []));
  const readers = Array.from(processors, (processor) => readerOf(processor, consumers, subjects, restrictions));
  const answers = new Map<string, { readonly keeps: boolean; readonly isRead: boolean }>();
  const answer = (endpoint: string): { readonly keeps: boolean; readonly isRead: boolean } => {
    const known = answers.get(endpoint);
    if (known !== undefined) return known;
    const covering = readers.filter((reader) => reader.covers(endpoint));
    const keeps = covering.length > 0 && covering.every(({ sources }) => sources.some((one) => has(one, endpoint)));
    const isFine = ({ sources, isWhole }: Reader): boolean =>
      isWhole && sources.every((source) => !has(source, endpoint) || source.readers.every(isRead));
    const found = { keeps, isRead: keeps && covering.every(isFine) };
    if (answers.size < 1024) answers.set(endpoint, found);
    return found;
  };
  return { keeps: (endpoint) => answer(endpoint).keeps, isRead: (endpoint) => answer(endpoint).isRead };
}

/** The endpoints whose entries a consumer covers, in whichever lane; undefined: all. */
export function entryEndpoints({ config }: Pick<KnownConsumer, 'config'>, subjects: Subjects): Endpoints {
  const found = filtersOf(config).flatMap((filter) => subjects.parseEntryFilter(filter) ?? []);
  const endpoints = found.flatMap(({ endpoint }) => endpoint ?? []);
  return endpoints.length < found.length ? undefined : [...new Set(endpoints)].sort();
}

/** The same of several consumers. */
export function allEntryEndpoints(consumers: readonly Pick<KnownConsumer, 'config'>[], subjects: Subjects): Endpoints {
  return consumers.map((one) => entryEndpoints(one, subjects)).reduce(widenedBy, []);
}

function has({ endpoints }: Source, endpoint: string): boolean {
  return endpoints === undefined || endpoints.includes(endpoint);
}

function readerOf(
  processor: string,
  consumers: readonly KnownConsumer[],
  subjects: Subjects,
  restrictions: Restrictions,
): Reader {
  const mine = ownedBy(processor, consumers);
  const sets = setsOf(processor, mine);
  const isShared = sets.some(({ shape }) => shape.kind === 'shared');
  const lanes = sets.filter(({ shape }) => coversEntries(shape));
  const beside = isShared ? entriesOf(processor, consumers) : [];
  return {
    covers: createCoverage(mine, subjects, restrictions),
    sources: [
      ...beside.map((one) => ({ endpoints: entryEndpoints(one, subjects), readers: [one.name] })),
      ...lanes.map((set) => sourceOf(set, subjects)),
    ],
    isWhole: sets.every(({ shape }) => shape.kind === 'shared' || coversEntries(shape)),
  };
}

/** Of an ordered set: what each of its lanes covers. */
function sourceOf({ tops, names }: LaneSet, subjects: Subjects): Source {
  const each = tops.map((top) => (top === undefined ? [] : entryEndpoints(top, subjects)));
  return { endpoints: each.reduce(inBoth, undefined), readers: names.slice(0, 1).map(slotOf) };
}

function inBoth(some: Endpoints, others: Endpoints): Endpoints {
  if (some === undefined || others === undefined) return some ?? others;
  return some.filter((one) => others.includes(one));
}
