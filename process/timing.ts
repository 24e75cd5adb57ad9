/** Waiting with a limit: for a time, for something up to a time, and for several things until one deadline. */

/** Resolves after `ms`, or at once when `signal` aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish);
  });
}

/** Resolves or rejects as `work` does; with undefined when that takes longer than `ms`. `work` itself goes on. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One deadline for several things that are done one after another. */
export class Deadline {
  readonly #atMs: number;

  /** @param ms from now */
  constructor(ms: number) {
    this.#atMs = performance.now() + ms;
  }

  /** Milliseconds left, 0 once it has passed. @param maxMs the most that the caller wants */
  remainingMs(maxMs = Number.POSITIVE_INFINITY): number {
    return Math.max(0, Math.min(maxMs, this.#atMs - performance.now()));
  }
}
