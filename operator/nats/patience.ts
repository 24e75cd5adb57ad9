/**
 * Work that nobody waits for longer than a moment, such as asking a server that may be silent: it goes on, and is told of
 * when it is done. Work of one name is done one after the other.
 */
import { setTimeout as delay } from 'node:timers/promises';

export interface Patience {
  /**
   * Does the work, after what is under way of this name. Resolves when it is done, or after a moment; where the earlier work
   * takes longer than that, this one is not begun. @param work must not reject @param onLate it was done after that moment
   */
  spend(name: string, work: () => Promise<void>, onLate: () => void): Promise<void>;
  /** Whether work of this name is under way. */
  isBusy(name: string): boolean;
}

/** @param momentMs how long is waited */
export function createPatience(momentMs: number): Patience {
  const busy = new Map<string, Promise<void>>();

  async function wait(one: Promise<void>): Promise<void> {
    await Promise.race([one, delay(momentMs)]);
  }

  return {
    spend: async (name, work, onLate) => {
      for (let earlier = busy.get(name); earlier !== undefined; earlier = busy.get(name)) {
        await wait(earlier);
        if (busy.get(name) === earlier) return;
      }
      const startedMs = performance.now();
      const one = work().then(() => {
        busy.delete(name);
        if (performance.now() - startedMs >= momentMs) onLate();
      });
      busy.set(name, one);
      return wait(one);
    },
    isBusy: (name) => busy.has(name),
  };
}
