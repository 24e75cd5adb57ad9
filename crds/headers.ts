/**
 * Names and values of HTTP headers: which can be sent at all, and which are reserved. The rules are the same wherever a
 * header comes from.
 */
import { grammars } from './grammar.ts';

/** Header names that hydrogen or HTTP itself sets; `hydrogen-*` is reserved as well. */
export const reservedHeaders: readonly string[] = [
  'host',
  'content-length',
  'content-type',
  'connection',
  'transfer-encoding',
  'upgrade',
  'traceparent',
  'expect',
  'keep-alive',
  'te',
  'trailer',
  'webhook-id',
  'webhook-timestamp',
  'webhook-signature',
];

const headerName = new RegExp(grammars.headerName.pattern);
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern refuses control characters (RFC 9110 section 5.5)
const forbiddenInValue = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/;

/** True for a field name of RFC 9110 section 5.1. */
export function isHeaderName(name: string): boolean {
  return headerName.test(name);
}

/**
 * True for a field value that can be sent unchanged: Latin-1 without control characters, except tab (RFC 9110 section
 * 5.5). A literal value in a document is restricted further, to printable ASCII (`headerValue` in grammar.ts).
 */
export function isHeaderValue(value: string): boolean {
  return !forbiddenInValue.test(value);
}

/** True for names, in upper or lower case, that only hydrogen or HTTP itself may set. */
export function isReservedHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return lower.startsWith('hydrogen-') || reservedHeaders.includes(lower);
}
