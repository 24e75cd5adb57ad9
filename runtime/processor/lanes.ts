/**
 * The deliveries that are open in this process. Those of one connection run one after another in the order in which
 * they arrived; different connections run side by side, `maxRunning` at once. A failed delivery does not hold up its
 * successors here: strict order through retries is up to the bus (`ordering: PerConnection`).
 */

import type { Delivery } from '../bus/port/messages.ts';
import { Fifo } from '../fifo.ts';

/** One open delivery; `next` is its successor on the same connection. */
interface Entry {
  readonly delivery: Delivery;
  readonly arrivedAtMs: number;
  next: Entry | undefined;
}

export class Lanes {
  /** May be changed at any time; running deliveries continue. */
  maxRunning: number;
  readonly #run: (delivery: Delivery) => Promise<void>;
  /** The last entry of each connection that has any. */
  readonly #tails = new Map<string, Entry>();
  /** Deliveries that are first of their connection and wait because too many are running. */
  readonly #blocked = new Fifo<Entry>();
  readonly #open = new Set<Entry>();
  readonly #running = new Set<Entry>();
  #onIdle: (() => void)[] = [];

  /** @param run one delivery from beginning to end; a rejection is a bug and ends the process */
  constructor(maxRunning: number, run: (delivery: Delivery) => Promise<void>) {
    this.maxRunning = maxRunning;
    this.#run = run;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#open.size - this.#running.size;
  }

  add(delivery: Delivery): void {
    const entry: Entry = { delivery, arrivedAtMs: performance.now(), next: undefined };
    this.#open.add(entry);
    const tail = this.#tails.get(delivery.connectionId);
    this.#tails.set(delivery.connectionId, entry);
    if (tail === undefined) this.#startOrBlock(entry);
    else tail.next = entry;
  }

  /** Reports to the bus that everything open for at least `minAgeMs`, started or not, is still at work. */
  keepAlive(minAgeMs: number): void {
    const latestMs = performance.now() - minAgeMs;
    // Insertion order is arrival order: after the first young one all are young.
    for (const { delivery, arrivedAtMs } of this.#open) {
      if (arrivedAtMs > latestMs) return;
      delivery.working();
    }
  }

  /** Removes and returns the deliveries that have not started. */
  takeWaiting(): Delivery[] {
    const taken: Delivery[] = [];
    this.#blocked.drain();
    for (const entry of this.#open) {
      entry.next = undefined;
      if (this.#running.has(entry)) {
        this.#tails.set(entry.delivery.connectionId, entry);
        continue;
      }
      this.#open.delete(entry);
      if (this.#tails.get(entry.delivery.connectionId) === entry) this.#tails.delete(entry.delivery.connectionId);
      taken.push(entry.delivery);
    }
    return taken;
  }

  /** Resolves once nothing runs. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #startOrBlock(entry: Entry): void {
    if (this.#running.size < this.maxRunning) void this.#start(entry);
    else this.#blocked.push(entry);
  }

  async #start(entry: Entry): Promise<void> {
    this.#running.add(entry);
    await this.#run(entry.delivery);
    this.#running.delete(entry);
    this.#open.delete(entry);
    const { next } = entry;
    if (next !== undefined) this.#blocked.push(next);
    else this.#tails.delete(entry.delivery.connectionId);
    while (this.#running.size < this.maxRunning) {
      const first = this.#blocked.shift();
      if (first === undefined) break;
      void this.#start(first);
    }
    if (this.#running.size > 0) return;
    for (const resolve of this.#onIdle) resolve();
    this.#onIdle = [];
  }
}
