/**
 * Where clients put a token: finding it in the upgrade request, and taking it out of what others get to see of that
 * request.
 */

import type { TokenPlaces } from '../../crds/index.ts';

type Pairs = readonly (readonly [name: string, value: string])[];

/** An upgrade request, as far as it may carry tokens. */
export interface TokenCarrier {
  readonly headers: Pairs;
  readonly query: Pairs;
  /** The offered subprotocols that begin with a prefix of a provider. */
  readonly tokenSubprotocols: readonly string[];
}

/** The first token in these places; undefined if there is none. */
export function findToken(carrier: TokenCarrier, places: TokenPlaces): string | undefined {
  for (const token of tokensIn(carrier, places)) if (token !== '') return token;
  return undefined;
}

function* tokensIn({ headers, query, tokenSubprotocols }: TokenCarrier, places: TokenPlaces): Iterable<string> {
  for (const { name, valuePrefix } of places.headers ?? []) {
    for (const value of valuesOf(headers, name))
      if (beginsWith(value, valuePrefix)) yield value.slice(valuePrefix.length);
  }
  for (const name of places.params ?? []) yield query.find(([param]) => param === name)?.[1] ?? '';
  for (const name of places.cookies ?? []) {
    for (const [cookie, value] of valuesOf(headers, 'cookie').flatMap(readCookies)) if (cookie === name) yield value;
  }
  for (const { prefix } of places.subprotocols ?? []) {
    for (const offered of tokenSubprotocols) if (offered.startsWith(prefix)) yield offered.slice(prefix.length);
  }
}

/**
 * The request without anything that may carry a token in one of these places, and without values that contain `token`
 * elsewhere: a proxy may have put the URL into a header.
 */
export function withoutTokens(
  { headers, query }: TokenCarrier,
  places: readonly TokenPlaces[],
  token: string,
): { readonly headers: Pairs; readonly query: Pairs } {
  const names = new Set(places.flatMap((place) => (place.headers ?? []).map(({ name }) => name.toLowerCase())));
  const params = new Set(places.flatMap((place) => place.params ?? []));
  return {
    headers: headers.flatMap(([name, value]) => {
      if (names.has(name.toLowerCase())) return [];
      const left = leftOf(name.toLowerCase(), value, places);
      return left === '' && value !== '' ? [] : left.includes(token) ? [] : [[name, left] as const];
    }),
    query: query.filter(([name, value]) => !params.has(name) && !value.includes(token)),
  };
}

/** What is left of the value of a header that lists things of which some may be tokens. */
function leftOf(name: string, value: string, places: readonly TokenPlaces[]): string {
  if (name === 'cookie') {
    const cookies = new Set(places.flatMap((place) => place.cookies ?? []));
    if (cookies.size === 0) return value;
    const kept = value.split(';').filter((part) => !cookies.has(part.split('=', 1)[0]?.trim() ?? ''));
    return kept.join(';').trim();
  }
  if (name === 'sec-websocket-protocol') {
    const prefixes = places.flatMap((place) => (place.subprotocols ?? []).map(({ prefix }) => prefix));
    if (prefixes.length === 0) return value;
    const offered = value.split(',').map((part) => part.trim());
    return offered.filter((part) => !prefixes.some((prefix) => part.startsWith(prefix))).join(', ');
  }
  return value;
}

/** RFC 6265 section 4.2.1. */
function readCookies(header: string): [name: string, value: string][] {
  return header.split(';').map((part) => {
    const [name = ''] = part.split('=', 1);
    const value = part.slice(name.length + 1).trim();
    return [name.trim(), /^".*"$/.test(value) ? value.slice(1, -1) : value];
  });
}

function valuesOf(headers: Pairs, name: string): string[] {
  const lower = name.toLowerCase();
  return headers.filter(([header]) => header.toLowerCase() === lower).map(([, value]) => value);
}

/** The scheme of a credential is case-insensitive (RFC 9110 section 11.1). */
function beginsWith(value: string, prefix: string): boolean {
  return value.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase();
}
