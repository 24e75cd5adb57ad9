/**
 * Names and values of HTTP headers: which can be sent at all, and which are reserved. The same for a header of any
 * origin.
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
];

const headerName = new RegExp(grammars.headerName.pattern);
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused (RFC 9110 section 5.5)
const forbiddenInValue = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/;

/** True for a field name of RFC 9110 section 5.1. */
export function isHeaderName(name: string): boolean {
  return headerName.test(name);
}

/**
 * True for a field value that can be sent unchanged: Latin-1 without control characters, except tab (RFC 9110 section
 * 5.5). A literal value in a document is held to less, printable ASCII (`headerValue` in grammar.ts).
 */
export function isHeaderValue(value: string): boolean {
  return !forbiddenInValue.test(value);
}

/** True for names, in any case, that only hydrogen or HTTP itself may set. */
export function isReservedHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return lower.startsWith('hydrogen-') || reservedHeaders.includes(lower);
}
