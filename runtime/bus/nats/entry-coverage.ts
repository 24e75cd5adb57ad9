/**
 * For which endpoints a gateway may write entries. An entry must be kept for every processor that covers the endpoint, so
 * each of them needs a consumer of entries that covers it; and it should be read, so each of these needs a reader.
 * Processors of earlier releases and ordered ones have no consumer of entries.
 */

import type { Subjects } from '../subjects.ts';
import { entriesOf, isOrderedOne, ownedBy } from './consumer-sets.ts';
import { filtersOf, type KnownConsumer, metadataKeys } from './consumer-view.ts';
import { createCoverage, type Restrictions } from './coverage.ts';

export interface EntryCoverage {
  /** True if an entry to this endpoint is kept for every processor that covers it, and some processor does. */
  keeps(endpoint: string): boolean;
  /** True if each of these processors reads its entries, too. */
  isRead(endpoint: string): boolean;
}

interface Reader {
  readonly covers: (endpoint: string) => boolean;
  /** The consumers of its entries. */
  readonly entries: readonly { readonly name: string; readonly endpoints: readonly string[] | undefined }[];
}

/** @param isRead whether somebody reads from the consumer of this name */
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
    const names = covering.map((reader) => namesFor(reader, endpoint));
    const keeps = covering.length > 0 && names.every((some) => some.length > 0);
    const found = { keeps, isRead: keeps && names.every((some) => some.every(isRead)) };
    if (answers.size < 1024) answers.set(endpoint, found);
    return found;
  };
  return { keeps: (endpoint) => answer(endpoint).keeps, isRead: (endpoint) => answer(endpoint).isRead };
}

/** The endpoints that the consumer of a processor's entries covers; undefined: all. */
export function entryEndpoints({ config }: KnownConsumer, subjects: Subjects): readonly string[] | undefined {
  const [every = ''] = subjects.entryFilters(undefined);
  const filters = filtersOf(config);
  if (filters.includes(every)) return undefined;
  return filters.flatMap((filter) => subjects.parseEntryFilter(filter) ?? []).sort();
}

function readerOf(
  processor: string,
  consumers: readonly KnownConsumer[],
  subjects: Subjects,
  restrictions: Restrictions,
): Reader {
  const mine = ownedBy(processor, consumers);
  const own = mine.some(isOrderedOne) ? [] : entriesOf(processor, consumers);
  return {
    covers: createCoverage(mine, subjects, restrictions),
    entries: own.map((one) => ({ name: one.name, endpoints: entryEndpoints(one, subjects) })),
  };
}

/** The consumers that entries to an endpoint go to. */
function namesFor({ entries }: Reader, endpoint: string): string[] {
  const covering = entries.filter(({ endpoints }) => endpoints === undefined || endpoints.includes(endpoint));
  return covering.map(({ name }) => name);
}
