/** Which header names and values a rules engine may set on a delivery. */

import { isReservedHeader } from '../../crds/fragments.ts';

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused (RFC 9110 section 5.5)
const forbiddenInValue = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/;

/** Besides those that configuration may not set either: for one hop only (RFC 9110 section 7.6.1). */
const hopByHop: ReadonlySet<string> = new Set(['proxy-authenticate', 'proxy-authorization', 'proxy-connection']);

/** False for names that hydrogen sets, that describe the body, or that belong to the connection. */
export function isSettableHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return !isReservedHeader(lower) && !hopByHop.has(lower) && !lower.startsWith('content-');
}

/** A field name of RFC 9110 section 5.1. */
export function isHeaderName(name: string): boolean {
  return token.test(name);
}

/** A field value that can be sent as it is: Latin-1 without control characters but tab. */
export function isHeaderValue(value: string): boolean {
  return !forbiddenInValue.test(value);
}
