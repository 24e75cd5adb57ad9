/**
 * Gives memory back when a burst of work is over. V8 collects garbage once the heap has grown by a share of itself,
 * which in a process that then rests is hours later: the garbage of a first list of thousands of objects would stay for
 * as long.
 */

/** With fewer objects there is nothing to gain. */
const burst = 500;

export interface GarbageCollectionOptions {
  /** @default - a full collection, where the process was started with `--expose-gc` */
  readonly collect?: () => void;
  /** After this long without work a burst is over. @default 3_000 */
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

function collectGarbage(): void {
  void globalThis.gc?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
}
