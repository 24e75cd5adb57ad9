/** The header `Retry-After` (RFC 9110 section 10.2.3) as a delay. */

/** No answer delays a retry by more than this: an hour. */
export const maxRetryAfterMs = 3_600_000;

const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d{2}:\d{2}:\d{2}/;

/**
 * @param value whole seconds or an HTTP date in any of its three forms
 * @returns milliseconds from `nowMs`, 0 for a date in the past, at most `maxRetryAfterMs`; undefined when absent or malformed
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, maxRetryAfterMs);
  if (!httpDate.test(text)) return undefined;
  // The obsolete asctime form names no zone and means UTC.
  const dateMs = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  if (Number.isNaN(dateMs)) return undefined;
  return Math.min(Math.max(0, dateMs - nowMs), maxRetryAfterMs);
}
