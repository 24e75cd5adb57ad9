/**
 * Frees memory when a burst of work is over. V8 collects garbage once the heap has grown by a fraction of its size, which
 * may take hours in a process that is idle: the garbage from a first list of thousands of objects would stay
 * for that long.
 */

import { collectGarbage } from '../process/garbage.ts';

/** With fewer objects, a collection would gain nothing. */
const burst = 500;

export interface GarbageCollectionOptions {
  /** @default - a full collection, where the process was started with `--expose-gc` */
  readonly collect?: () => void;
  /** A burst is over after this long without work. @default 3_000 */
  readonly quietMs?: number;
}

export class GarbageCollection {
  readonly #collect: () => void;
  readonly #quietMs: number;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ collect = collectGarbage, quietMs = 3000 }: GarbageCollectionOptions = {}) {
    this.#collect = collect;
    this.#quietMs = quietMs;
  }

  /** Counts an object that was read or reconciled. */
  noteWork(): void {
    this.#count += 1;
    this.#timer = this.#timer?.refresh() ?? setTimeout(() => this.#settle(), this.#quietMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #settle(): void {
    const isWorthIt = this.#count >= burst;
    this.#count = 0;
    this.#timer = undefined;
    if (isWorthIt) this.#collect();
  }
}
