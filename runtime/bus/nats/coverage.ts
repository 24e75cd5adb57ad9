/**
 * Which endpoints consumers cover. A processor covers an endpoint when its consumers together cover every partition of
 * it. An endpoint counts as covered when a processor covers it and none covers only a part: the messages of the other
 * partitions would be stored without that processor ever getting them.
 */

import { decodeEndpoint, encodeEndpoint, partitionCount, type Subjects } from '../subjects.ts';
import { filtersOf, type KnownConsumer, metadataKeys } from './consumer-view.ts';

/** By processor, the endpoints that it keeps: its consumers count for these alone. */
export type Restrictions = ReadonlyMap<string, readonly string[]>;

/** What a filter covers; `*` means every one. */
interface Share {
  readonly partition: string;
  readonly token: string;
}

/** In the place of a partition: a filter of entries, which covers no message that is stored by itself. */
const entryMark = 'e';
const everyPartition = '*';
const everyEndpoint = '*';

/** Answers whether an endpoint is covered. Consumers that are not a processor's do not count. */
export function createCoverage(
  consumers: readonly Pick<KnownConsumer, 'config'>[],
  subjects: Subjects,
  restrictions: Restrictions = new Map(),
): (endpoint: string) => boolean {
  const processors = new Map<string, Map<string, Set<string>>>();
  for (const { config } of consumers) {
    const processor = config.metadata?.[metadataKeys.processor];
    if (processor === undefined) continue;
    const partitions = processors.get(processor) ?? new Map<string, Set<string>>();
    processors.set(processor, partitions);
    for (const { partition, token } of sharesOf(filtersOf(config), subjects, restrictions.get(processor))) {
      const share = partitions.get(token) ?? new Set<string>();
      partitions.set(token, share.add(partition));
    }
  }
  const answers = new Map<string, boolean>();
  return (endpoint) => {
    const known = answers.get(endpoint);
    if (known !== undefined) return known;
    const token = encodeEndpoint(endpoint);
    const extents = Array.from(processors.values(), (partitions) => extentOf(partitions, token));
    const answer = extents.includes('whole') && !extents.includes('part');
    if (answers.size < 1024) answers.set(endpoint, answer);
    return answer;
  };
}

/** The endpoints that filters cover, in whichever partition; undefined: all of them. */
export function endpointsOf(filters: readonly string[], subjects: Subjects): string[] | undefined {
  const tokens = new Set(sharesOf(filters, subjects, undefined).map(({ token }) => token));
  if (tokens.has(everyEndpoint)) return undefined;
  return [...tokens].flatMap((token) => decodeEndpoint(token) ?? []).sort();
}

function extentOf(partitions: ReadonlyMap<string, ReadonlySet<string>>, token: string): 'none' | 'part' | 'whole' {
  const covered = new Set([...(partitions.get(everyEndpoint) ?? []), ...(partitions.get(token) ?? [])]);
  if (covered.has(everyPartition) || covered.size === partitionCount) return 'whole';
  return covered.size === 0 ? 'none' : 'part';
}

function sharesOf(filters: readonly string[], subjects: Subjects, kept: readonly string[] | undefined): Share[] {
  const prefix = subjects.allClientMessages.slice(0, -1);
  const tokens = kept?.map(encodeEndpoint);
  return filters.flatMap((filter) => {
    if (!filter.startsWith(prefix)) return [];
    const [first = '', second = '>'] = filter.slice(prefix.length).split('.');
    if (first === entryMark) return [];
    const partition = first === '>' ? everyPartition : first;
    const token = first === '>' || second === '>' || second === '*' ? everyEndpoint : second;
    if (tokens === undefined || tokens.includes(token)) return [{ partition, token }];
    return token === everyEndpoint ? tokens.map((one) => ({ partition, token: one })) : [];
  });
}
