/**
 * A new release of the operator brings a new image for every workload whose document names none. Rolling them all out
 * at once would disconnect every client of the cluster, and a broken image would take everything down. So only a few
 * roll out at a time, and the next one starts when one is complete. A rollout that gets stuck keeps its slot and so holds
 * back the others.
 */

/** How many workloads may roll out at once: a number, or a percentage of all of them, at least one. */
export type RolloutLimit = { readonly count: number } | { readonly percent: number };

export interface Rollouts {
  /** True if the workload of this object may roll out now; otherwise `onTurn` is called when it may. */
  admit(key: string): boolean;
  /** Takes a slot for a workload that is already rolling out, for example because an earlier operator started it. */
  resume(key: string): void;
  /** Frees the slot: the rollout is complete, or the object is gone, paused or invalid. */
  leave(key: string): void;
  readonly running: number;
  readonly waiting: number;
}

export interface RolloutsOptions {
  readonly limit: RolloutLimit;
  /** Number of all workloads. */
  readonly total: () => number;
  /** A slot is free for this object. */
  readonly onTurn: (key: string) => void;
}

/** @throws RangeError unless it is a whole number of at least 1, or a percentage of 1 to 100 such as `10%` */
export function parseRolloutLimit(text: string): RolloutLimit {
  const [, digits = '', sign] = /^(\d{1,6})(%?)$/.exec(text) ?? [];
  const value = Number(digits);
  if (value < 1 || (sign === '%' && value > 100)) {
    throw new RangeError(`must be a number of at least 1 or a percentage such as 10%, is ${text}`);
  }
  return sign === '%' ? { percent: value } : { count: value };
}

export function createRollouts({ limit, total, onTurn }: RolloutsOptions): Rollouts {
  const running = new Set<string>();
  const waiting = new Set<string>();

  function slots(): number {
    return 'count' in limit ? limit.count : Math.max(1, Math.floor((total() * limit.percent) / 100));
  }

  function leave(key: string): void {
    waiting.delete(key);
    running.delete(key);
    // The next in line may have left as well.
    const free = slots() - running.size;
    for (const next of [...waiting].slice(0, Math.max(0, free))) onTurn(next);
  }

  return {
    admit: (key) => {
      if (!running.has(key) && running.size >= slots()) {
        waiting.add(key);
        return false;
      }
      waiting.delete(key);
      running.add(key);
      return true;
    },
    resume: (key) => void running.add(key),
    leave,
    get running() {
      return running.size;
    },
    get waiting() {
      return waiting.size;
    },
  };
}
