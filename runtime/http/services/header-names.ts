/** Which header names a rules engine may set on a delivery. */

import { isReservedHeader } from '../../../crds/headers.ts';

/** In addition to those that configuration may not set: for one hop only (RFC 9110 section 7.6.1). */
const hopByHop: ReadonlySet<string> = new Set(['proxy-authenticate', 'proxy-authorization', 'proxy-connection']);

/**
 * False for names that hydrogen sets, that describe the body, or that belong to the connection; also when they differ from
 * one of these by `_` in place of `-` alone, which servers that put headers into variables take for the same (CGI, RFC 3875).
 */
export function isSettableHeader(name: string): boolean {
  const lower = name.toLowerCase().replaceAll('_', '-');
  return !isReservedHeader(lower) && !hopByHop.has(lower) && !lower.startsWith('content-');
}
