/**
 * A new release of the operator brings a new image for every workload whose document names none. So many rollouts at once
 * would disconnect every client of the cluster, and a broken image would take everything down: only a few roll out at a
 * time, the next when one is through. A rollout that does not come through holds its place, and so the others back.
 */

/** How many workloads may be given a new image at once: a number, or a share of all of them, at least one. */
export type RolloutLimit = { readonly count: number } | { readonly percent: number };

export interface Rollouts {
  /** Whether the workload of this object may be given the new image now; if not, it is woken when it may. */
  admit(key: string): boolean;
  /** The workload was found in the middle of a rollout that an operator before this one may have begun. */
  resume(key: string): void;
  /** The workload has the image that it should have on all of its pods, or it is gone, paused or invalid. */
  leave(key: string): void;
  readonly running: number;
  readonly waiting: number;
}

export interface RolloutsOptions {
  readonly limit: RolloutLimit;
  /** Number of workloads there are. */
  readonly total: () => number;
  /** A place is free for this object. */
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

  function places(): number {
    return 'count' in limit ? limit.count : Math.max(1, Math.floor((total() * limit.percent) / 100));
  }

  function leave(key: string): void {
    waiting.delete(key);
    running.delete(key);
    // Also when the one whose turn it was has lost its interest meanwhile.
    const free = places() - running.size;
    for (const next of [...waiting].slice(0, Math.max(0, free))) onTurn(next);
  }

  return {
    admit: (key) => {
      if (!running.has(key) && running.size >= places()) {
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
