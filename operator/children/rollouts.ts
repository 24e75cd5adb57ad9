/**
 * A new release of the operator brings a new image for every workload whose document names none. Rolling them all out
 * at once would disconnect every client of the cluster, and a broken image would take everything down. So only a few
 * roll out at a time, and the next one starts when one is complete. A rollout that gets stuck while its old pods serve
 * keeps its slot and so holds back the others: the image may be at fault. A workload that was impaired before takes no
 * slot, or it would hold back the whole cluster for a reason of its own.
 */

/** How many workloads may roll out at once: a number, or a percentage of all of them, at least one. */
export type RolloutLimit = { readonly count: number } | { readonly percent: number };

export interface Rollouts {
  /** True if the workload of this object may roll out now; otherwise `onTurn` is called when it may. */
  admit(key: string): boolean;
  /** Takes a slot for a workload that is already rolling out, for example because an earlier operator started it. */
  resume(key: string): void;
  /** Frees the slot: the rollout is complete, or the object is gone, impaired, paused or invalid. */
  leave(key: string): void;
  /** Says whether the rollout in this object's slot is stuck; those that wait are woken when that changes. */
  setStuck(key: string, isStuck: boolean): void;
  readonly running: number;
  /** The objects that have a slot. */
  readonly holders: readonly string[];
  /** The objects whose rollout is stuck in its slot. */
  readonly stuck: readonly string[];
  readonly waiting: number;
}

export interface RolloutsOptions {
  readonly limit: RolloutLimit;
  /** Number of all workloads. */
  readonly total: () => number;
  /** A slot is free for this object, or another one holds it back now. */
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
  const stuck = new Set<string>();

  function slots(): number {
    return 'count' in limit ? limit.count : Math.max(1, Math.floor((total() * limit.percent) / 100));
  }

  function setStuck(key: string, isStuck: boolean): void {
    if (stuck.has(key) === (isStuck && running.has(key))) return;
    if (!stuck.delete(key)) stuck.add(key);
    for (const other of waiting) onTurn(other);
  }

  function leave(key: string): void {
    waiting.delete(key);
    setStuck(key, false);
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
    setStuck,
    get running() {
      return running.size;
    },
    get holders() {
      return [...running];
    },
    get stuck() {
      return [...stuck];
    },
    get waiting() {
      return waiting.size;
    },
  };
}
