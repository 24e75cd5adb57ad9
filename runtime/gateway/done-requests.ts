/**
 * What was done under idempotency keys, so that a request that comes again is answered like the first one. Bounded in time
 * and in number: what is older than the window or than the last `max` is forgotten.
 */

import { createHash } from 'node:crypto';

export interface DoneRequestsOptions {
  /** How long a key is remembered. @default 120_000 */
  readonly windowMs?: number;
  /** Keys that are remembered. @default 65_536, which take some 15 MB */
  readonly max?: number;
  /** Milliseconds of a clock that never goes back. @default performance.now */
  readonly now?: () => number;
}

interface Done<Outcome> {
  readonly outcome: Outcome;
  readonly untilMs: number;
}

export class DoneRequests<Outcome> {
  readonly #windowMs: number;
  readonly #max: number;
  readonly #now: () => number;
  /** By digest, the oldest first. */
  readonly #done = new Map<string, Done<Outcome>>();

  constructor({ windowMs = 120_000, max = 65_536, now = () => performance.now() }: DoneRequestsOptions = {}) {
    this.#windowMs = windowMs;
    this.#max = max;
    this.#now = now;
  }

  get size(): number {
    return this.#done.size;
  }

  /** Does the work, or returns what it returned the first time within the window. @param key its parts */
  once(key: readonly string[], work: () => Outcome): Outcome {
    const nowMs = this.#now();
    this.#forget(({ untilMs }) => untilMs <= nowMs);
    const digest = digestOf(key);
    const known = this.#done.get(digest);
    if (known !== undefined) return known.outcome;
    this.#forget(() => this.#done.size >= this.#max);
    const outcome = work();
    this.#done.set(digest, { outcome, untilMs: nowMs + this.#windowMs });
    return outcome;
  }

  /** Forgets the oldest, one after another, until `isOver` is false. */
  #forget(isOver: (oldest: Done<Outcome>) => boolean): void {
    for (const [digest, done] of this.#done) {
      if (!isOver(done)) return;
      this.#done.delete(digest);
    }
  }
}

/** Of one length, however long the parts are. */
function digestOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
