/**
 * Deliveries of entries that were handed back and that this process delivers again after a delay, because the bus could
 * only deliver the whole entry again.
 */

import type { NatsDelivery } from './delivery.ts';

export class Again {
  readonly #timers = new Map<NatsDelivery, NodeJS.Timeout>();
  readonly #onDue: (delivery: NatsDelivery) => void;

  constructor(onDue: (delivery: NatsDelivery) => void) {
    this.#onDue = onDue;
  }

  get deliveries(): Iterable<NatsDelivery> {
    return this.#timers.keys();
  }

  add(delivery: NatsDelivery, delayMs: number): void {
    const due = (): void => {
      this.#timers.delete(delivery);
      this.#onDue(delivery);
    };
    this.#timers.set(delivery, setTimeout(due, Math.max(0, delayMs)));
  }

  drop(delivery: NatsDelivery): void {
    clearTimeout(this.#timers.get(delivery));
    this.#timers.delete(delivery);
  }

  /** Removes all of them. */
  drain(): NatsDelivery[] {
    const all = [...this.#timers.keys()];
    for (const delivery of all) this.drop(delivery);
    return all;
  }
}
