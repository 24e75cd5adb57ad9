/** Waiting for something to become true, without guessing how long it takes. */

import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** Default 10,000. */
  readonly timeoutMs?: number;
  /** Default 10. */
  readonly everyMs?: number;
}

/**
 * Calls `fn` until it neither throws nor returns false, and resolves with what it returned.
 * @throws the last failure, once `timeoutMs` have passed
 */
export async function eventually<T>(
  fn: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, false>> {
  const { timeoutMs = 10_000, everyMs = 10 } = options;
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    let failure: unknown;
    try {
      const value = await fn();
      if (value !== false) return value as Exclude<T, false>;
      failure = new Error(`still false: ${fn}`);
    } catch (err) {
      failure = err;
    }
    if (Date.now() >= deadlineMs)
      throw new Error(`not within ${timeoutMs} ms: ${messageOf(failure)}`, { cause: failure });
    await delay(everyMs);
  }
}

/** Resolves when `fn` neither threw nor returned false for `forMs`: for what must not happen. @throws at the first breach */
export async function holds(fn: () => unknown, forMs: number): Promise<void> {
  const endMs = Date.now() + forMs;
  do {
    if ((await fn()) === false) throw new Error(`no longer true: ${fn}`);
    await delay(10);
  } while (Date.now() < endMs);
}

function messageOf(failure: unknown): string {
  return failure instanceof Error ? failure.message : String(failure);
}
