/**
 * All deliveries that a process has open, in the order in which they arrived, and what they take of its memory. The payload
 * of one that has long to wait can be forgotten. Such deliveries are small, so they are counted by themselves, and many more
 * of them may be open.
 */

import type { Recalled } from '../bus/port/messages.ts';
import type { OpenDelivery } from './open-delivery.ts';

/** Deliveries with their payloads, and bytes of these, above which no more are taken from the stream. */
const maxWhole = 8_192;
const maxWholeBytes = 64 * 1024 * 1024;
/** Deliveries without their payloads, some 700 bytes each. */
const maxShed = 32_768;

/** What waits in this process for one destination. */
export interface HeldMessages {
  readonly messages: number;
  /** When the oldest of them was stored, in milliseconds since the epoch. */
  readonly oldestMs: number;
}

export class OpenDeliveries {
  readonly #all = new Set<OpenDelivery>();
  readonly #read: (open: OpenDelivery) => Promise<Recalled>;
  #bytes = 0;
  #shed = 0;
  #isFull = false;
  #isShort = false;

  /** @param read reads a payload again */
  constructor(read: (open: OpenDelivery) => Promise<Recalled>) {
    this.#read = read;
  }

  get size(): number {
    return this.#all.size;
  }

  /** True while no more should be taken. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** True while about half of what may be open with its payload is, or more. */
  get isShort(): boolean {
    return this.#isShort;
  }

  [Symbol.iterator](): Iterator<OpenDelivery> {
    return this.#all.values();
  }

  add(open: OpenDelivery): void {
    this.#all.add(open);
    this.#bytes += open.bytes;
  }

  /** @returns false when it was not open */
  delete(open: OpenDelivery): boolean {
    if (!this.#all.delete(open)) return false;
    if (open.isShed) this.#shed -= 1;
    else this.#bytes -= open.bytes;
    return true;
  }

  /** Forgets a payload, if the bus can read it again. */
  shed(open: OpenDelivery): void {
    if (open.isShed || !open.delivery.shed()) return;
    open.isShed = true;
    this.#shed += 1;
    this.#bytes -= open.bytes;
  }

  /** Reads a payload again. @returns also `read` of a delivery that is open no more by then */
  async recall(open: OpenDelivery): Promise<Recalled> {
    const outcome = await this.#read(open);
    if (outcome !== 'read' || !this.#all.has(open) || !open.isShed) return outcome;
    open.isShed = false;
    this.#shed -= 1;
    this.#bytes += open.bytes;
    return outcome;
  }

  has(open: OpenDelivery): boolean {
    return this.#all.has(open);
  }

  /** Decides `isFull` and `isShort`, with hysteresis, so that the stream is not paused and resumed with every delivery. */
  weigh(): void {
    const share = this.#isFull ? 0.75 : 1;
    this.#isFull = !this.#isBelow(share) || this.#shed >= maxShed * share;
    this.#isShort = !this.#isBelow(this.#isShort ? 0.4 : 0.5);
  }

  /** When the oldest message of each destination was stored, in milliseconds since the epoch. */
  oldest(): Map<string, number> {
    const oldest = new Map<string, number>();
    for (const { route, delivery } of this.#all) {
      if (route?.kind !== 'destination') continue;
      const known = oldest.get(route.queue) ?? Number.POSITIVE_INFINITY;
      if (delivery.storedAtMs < known) oldest.set(route.queue, delivery.storedAtMs);
    }
    return oldest;
  }

  /**
   * What waits for each destination: for room, for its next attempt, or behind such a message of its connection.
   * @param behind deliveries of a connection, the first included
   */
  held(behind: (connectionId: string) => number): Map<string, HeldMessages> {
    const held = new Map<string, HeldMessages>();
    for (const { route, stage, delivery } of this.#all) {
      if (route?.kind !== 'destination' || stage === 'running') continue;
      const { messages = 0, oldestMs = Number.POSITIVE_INFINITY } = held.get(route.queue) ?? {};
      held.set(route.queue, {
        messages: messages + Math.max(1, behind(delivery.connectionId)),
        oldestMs: Math.min(oldestMs, delivery.storedAtMs),
      });
    }
    return held;
  }

  /** Reports to the bus that everything open for at least `minAgeMs`, started or not, is still at work. */
  keepAlive(minAgeMs: number): void {
    const latestMs = performance.now() - minAgeMs;
    // After the first young one all are young.
    for (const { delivery, arrivedAtMs } of this.#all) {
      if (arrivedAtMs > latestMs) return;
      delivery.working();
    }
  }

  #isBelow(share: number): boolean {
    return this.#all.size - this.#shed < maxWhole * share && this.#bytes < maxWholeBytes * share;
  }
}
