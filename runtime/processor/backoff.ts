/** When a failed delivery is due again. */

const jitter = 0.2;

/**
 * The back-off of this attempt, or `Retry-After` where that is longer, with jitter so that messages which failed together
 * do not come back together. A destination is never asked again before the time that it named.
 * @param random in [0, 1)
 */
export function retryDelayMs(
  backoffMs: readonly number[],
  attempt: number,
  retryAfterMs: number,
  random: number,
): number {
  const backoff = backoffMs[Math.min(attempt - 1, backoffMs.length - 1)] ?? 0;
  if (retryAfterMs >= backoff) return Math.round(retryAfterMs * (1 + random * jitter));
  return Math.round(Math.max(retryAfterMs, backoff * (1 - jitter + random * 2 * jitter)));
}
