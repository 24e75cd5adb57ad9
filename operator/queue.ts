/**
 * Work by key. A key is in the queue at most once, never runs on two workers at a time, and runs once more if it was added
 * while it was running. A key that fails comes back after a delay that doubles. All delays in the operator are here.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * When a key runs again; undefined: only when it is added. `isFutile`: the work could not succeed and has reported why,
 * so the key comes back after a growing delay, as after a failure.
 */
export type Outcome = { readonly againAfterMs?: number; readonly isFutile?: boolean } | undefined;

/** The outcome whose time comes first. */
export function soonest(...outcomes: readonly Outcome[]): Outcome {
  const times = outcomes.flatMap((outcome) => outcome?.againAfterMs ?? []);
  const isFutile = outcomes.some((outcome) => outcome?.isFutile === true);
  if (times.length === 0 && !isFutile) return undefined;
  return { ...(times.length > 0 && { againAfterMs: Math.min(...times) }), ...(isFutile && { isFutile }) };
}

export interface QueueOptions {
  /** Does the work. If it rejects, the key comes back, after the error's `retryAfterMs` if it has one. */
  readonly work: (key: string) => Promise<Outcome>;
  readonly onFailure: (key: string, error: unknown, delayMs: number) => void;
  /** Called with the milliseconds for which a key waited once it was due. */
  readonly onTaken?: (waitedMs: number) => void;
  /** @default 4 */
  readonly workers?: number;
  /** Work that takes longer than this no longer occupies a worker. @default - it does until it ends */
  readonly slowMs?: number;
  /** Delay of the first retry; it doubles. @default 200 */
  readonly baseDelayMs?: number;
  /** @default 300_000 */
  readonly maxDelayMs?: number;
}

interface Later {
  readonly atMs: number;
  readonly timer: NodeJS.Timeout;
}

const jitter = 0.1;

/** A server that says when to retry is up, and may let only one of many requests through at a time. */
const longestThrottledMs = 10_000;

export class Queue {
  readonly #options: QueueOptions;
  readonly #due = new Map<string, number>();
  readonly #later = new Map<string, Later>();
  readonly #working = new Set<string>();
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();
  #busyWorkers = 0;
  #isRunning = false;
  #idle = Promise.withResolvers<void>();

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Keys that are due and wait for a worker. */
  get depth(): number {
    return this.#due.size;
  }

  /** @param delayMs the key runs no earlier than this; an earlier time that is already set stays. @default 0 */
  add(key: string, delayMs = 0): void {
    const set = this.#later.get(key);
    if (delayMs > 0) {
      const atMs = performance.now() + delayMs;
      if (set !== undefined && set.atMs <= atMs) return;
      clearTimeout(set?.timer);
      this.#later.set(key, { atMs, timer: setTimeout(() => this.add(key), delayMs).unref() });
      return;
    }
    clearTimeout(set?.timer);
    this.#later.delete(key);
    if (this.#working.has(key)) this.#again.add(key);
    else if (!this.#due.has(key)) this.#due.set(key, performance.now());
    this.#take();
  }

  start(): void {
    this.#isRunning = true;
    this.#take();
  }

  /** Accepts no more work; resolves when all current work has ended. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#clearTimers();
    this.#due.clear();
    this.#again.clear();
    this.#idle = Promise.withResolvers<void>();
    if (this.#working.size > 0) await this.#idle.promise;
    // Timers set by work that ended after `stop` began.
    this.#clearTimers();
    this.#failures.clear();
  }

  #clearTimers(): void {
    for (const { timer } of this.#later.values()) clearTimeout(timer);
    this.#later.clear();
  }

  #take(): void {
    const { workers = 4, onTaken } = this.#options;
    while (this.#isRunning && this.#busyWorkers < workers) {
      const [next] = this.#due;
      if (next === undefined) return;
      const [key, sinceMs] = next;
      this.#due.delete(key);
      this.#working.add(key);
      onTaken?.(performance.now() - sinceMs);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    const { work, onFailure, slowMs } = this.#options;
    let isOccupied = true;
    const leave = (): void => {
      if (isOccupied) this.#busyWorkers--;
      isOccupied = false;
      this.#take();
    };
    this.#busyWorkers++;
    const slow = slowMs === undefined ? undefined : setTimeout(leave, slowMs).unref();
    try {
      const outcome = await work(key);
      if (outcome?.isFutile) this.add(key, this.#backoffMs(key));
      else this.#failures.delete(key);
      if (outcome?.againAfterMs !== undefined) this.add(key, Math.max(1, outcome.againAfterMs));
    } catch (error) {
      const delayMs = retryMs(this.#backoffMs(key), (error as { retryAfterMs?: number }).retryAfterMs);
      onFailure(key, error, delayMs);
      this.add(key, delayMs);
    } finally {
      clearTimeout(slow);
      this.#working.delete(key);
      if (this.#again.delete(key)) this.add(key);
      if (this.#working.size === 0) this.#idle.resolve();
      // Work that finds nothing to do never waits: thousands of such keys would keep timers and sockets from their turn.
      await nextTurn();
      leave();
    }
  }

  /** The delay after one more failure of this key. */
  #backoffMs(key: string): number {
    const { baseDelayMs = 200, maxDelayMs = 300_000 } = this.#options;
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    const delayMs = Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(count - 1, 30));
    return delayMs * (1 + jitter * (2 * Math.random() - 1));
  }
}

function retryMs(backoffMs: number, askedMs: number | undefined): number {
  return askedMs === undefined ? backoffMs : Math.max(askedMs, Math.min(backoffMs, longestThrottledMs));
}
