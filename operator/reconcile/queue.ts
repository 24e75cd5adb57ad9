/**
 * What is to be looked at, by key: a key waits at most once, is never with two workers, and comes again when it was
 * added while it was worked on. Failures come back later and later; the queue is the only place that waits.
 */

/**
 * When a key comes again. Undefined: when somebody adds it. `isInVain`: what it should be is out of reach and that has
 * been told, so it comes back later and later, as after a failure.
 */
export type Outcome = { readonly againAfterMs?: number; readonly isInVain?: boolean } | undefined;

/** The outcome that comes first. */
export function soonest(...outcomes: readonly Outcome[]): Outcome {
  const times = outcomes.flatMap((outcome) => outcome?.againAfterMs ?? []);
  const isInVain = outcomes.some((outcome) => outcome?.isInVain === true);
  if (times.length === 0 && !isInVain) return undefined;
  return { ...(times.length > 0 && { againAfterMs: Math.min(...times) }), ...(isInVain && { isInVain }) };
}

export interface QueueOptions {
  /** Does the work. A rejection brings the key back, after `retryAfterMs` of the error where it has one. */
  readonly work: (key: string) => Promise<Outcome>;
  readonly onFailure: (key: string, error: unknown, delayMs: number) => void;
  /** Called with the milliseconds that a key waited after it was due. */
  readonly onTaken?: (waitedMs: number) => void;
  /** @default 4 */
  readonly workers?: number;
  /** Delay of the first retry; it doubles. @default 200 */
  readonly baseDelayMs?: number;
  /** @default 300_000 */
  readonly maxDelayMs?: number;
}

export interface Queue {
  /** @param delayMs not before this long; an earlier time that is already set stays. @default 0 */
  add(key: string, delayMs?: number): void;
  /** Keys that are due and wait for a worker. */
  readonly depth: number;
  start(): void;
  /** Takes no further keys; resolves when the workers are done. */
  stop(): Promise<void>;
}

const jitter = 0.1;

/** A server that says when to come again is there, and may let one request of many through at a time. */
const longestThrottledMs = 10_000;

export function createQueue(options: QueueOptions): Queue {
  const { work, onFailure, onTaken, workers = 4, baseDelayMs = 200, maxDelayMs = 300_000 } = options;
  const due = new Map<string, number>();
  const later = new Map<string, { atMs: number; timer: NodeJS.Timeout }>();
  const working = new Set<string>();
  const again = new Set<string>();
  const failures = new Map<string, number>();
  let isRunning = false;
  let idle = Promise.withResolvers<void>();

  function add(key: string, delayMs = 0): void {
    if (delayMs > 0) {
      const atMs = performance.now() + delayMs;
      const set = later.get(key);
      if (set !== undefined && set.atMs <= atMs) return;
      if (set !== undefined) clearTimeout(set.timer);
      const timer = setTimeout(() => add(key), delayMs);
      timer.unref();
      later.set(key, { atMs, timer });
      return;
    }
    const set = later.get(key);
    if (set !== undefined) clearTimeout(set.timer);
    later.delete(key);
    if (working.has(key)) again.add(key);
    else if (!due.has(key)) due.set(key, performance.now());
    take();
  }

  function take(): void {
    while (isRunning && working.size < workers) {
      const [next] = due;
      if (next === undefined) return;
      const [key, sinceMs] = next;
      due.delete(key);
      working.add(key);
      onTaken?.(performance.now() - sinceMs);
      void run(key);
    }
  }

  /** The delay before a key comes back that was in vain once more. */
  function backoffMs(key: string): number {
    const count = (failures.get(key) ?? 0) + 1;
    failures.set(key, count);
    const delayMs = Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(count - 1, 30));
    return delayMs * (1 + jitter * (2 * Math.random() - 1));
  }

  async function run(key: string): Promise<void> {
    try {
      const outcome = await work(key);
      if (outcome?.isInVain) add(key, backoffMs(key));
      else failures.delete(key);
      if (outcome?.againAfterMs !== undefined) add(key, Math.max(1, outcome.againAfterMs));
    } catch (error) {
      const delayMs = retryMs(backoffMs(key), (error as { retryAfterMs?: number }).retryAfterMs);
      onFailure(key, error, delayMs);
      add(key, delayMs);
    } finally {
      working.delete(key);
      if (again.delete(key)) add(key);
      if (working.size === 0) idle.resolve();
      take();
    }
  }

  return {
    add,
    get depth() {
      return due.size;
    },
    start: () => {
      isRunning = true;
      take();
    },
    stop: async () => {
      isRunning = false;
      for (const { timer } of later.values()) clearTimeout(timer);
      later.clear();
      due.clear();
      again.clear();
      idle = Promise.withResolvers<void>();
      if (working.size > 0) await idle.promise;
      // What a last failure or result has set to come again.
      for (const { timer } of later.values()) clearTimeout(timer);
      later.clear();
      failures.clear();
    },
  };
}

function retryMs(backoffMs: number, askedMs: number | undefined): number {
  return askedMs === undefined ? backoffMs : Math.max(askedMs, Math.min(backoffMs, longestThrottledMs));
}
