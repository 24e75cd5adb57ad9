/** Sets of endpoints, where undefined stands for all of them. */

import type { Subjects } from '../subjects.ts';
import { filtersOf, type KnownConsumer } from './consumer-view.ts';
import { endpointsOf } from './coverage.ts';

/** The endpoints that are wanted or covered; undefined: all. */
export function widened(
  wanted: readonly string[] | undefined,
  consumers: readonly KnownConsumer[],
  subjects: Subjects,
): readonly string[] | undefined {
  const filters = consumers.flatMap(({ config }) => filtersOf(config));
  return filters.length === 0 ? wanted : widenedBy(wanted, endpointsOf(filters, subjects));
}

/** All of both; undefined: all. */
export function widenedBy(
  some: readonly string[] | undefined,
  more: readonly string[] | undefined,
): readonly string[] | undefined {
  return some === undefined || more === undefined ? undefined : [...new Set([...some, ...more])].sort();
}

export function isSameEndpointSet(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return new Set(a).size === new Set(b).size && a.every((one) => b.includes(one));
}
