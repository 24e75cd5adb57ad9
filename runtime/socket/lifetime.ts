/**
 * When the gateway ends a connection by itself: once its authorization has expired, or once it is too old. Decided when
 * the connection is admitted, so that no later change of the configuration ends connections, and measured on the
 * monotonic clock from then on, so that a clock that is set ends none either.
 */

/** Why the time of a connection is over; the error table says how it is closed. */
export type EndCode = 'HYD_CONNECTION_EXPIRED' | 'HYD_CONNECTION_TOO_OLD';

export interface LifetimePolicy {
  readonly expiry: { readonly graceSeconds: number };
  readonly limits: {
    /** 0: no limit. */
    readonly maxConnectionAgeSeconds: number;
  };
}

/** The share of the greatest age by which connections differ, so that those which began together do not end together. */
const ageSpread = 0.1;

/**
 * @param validMs how long the authorization is valid from now on; undefined: for ever
 * @param nowMs on the monotonic clock
 */
export function endOf(
  validMs: number | undefined,
  { expiry, limits }: LifetimePolicy,
  nowMs: number,
): { readonly endsAtMs: number; readonly endsWith: EndCode } {
  const ageMs = limits.maxConnectionAgeSeconds * 1000 * (1 - ageSpread * Math.random()) || Number.POSITIVE_INFINITY;
  const expiresMs = validMs === undefined ? Number.POSITIVE_INFINITY : validMs + expiry.graceSeconds * 1000;
  return expiresMs <= ageMs
    ? { endsAtMs: nowMs + expiresMs, endsWith: 'HYD_CONNECTION_EXPIRED' }
    : { endsAtMs: nowMs + ageMs, endsWith: 'HYD_CONNECTION_TOO_OLD' };
}
