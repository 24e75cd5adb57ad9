/** Hands out the messages of all lanes of a consumption, in the order in which they arrived, while fewer than `maxOpen` are open. */

import { Fifo } from '../../../fifo.ts';
import type { LaneDelivery } from './lane-delivery.ts';

export class Handout {
  readonly #onDelivery: (delivery: LaneDelivery) => void;
  readonly #waiting = new Fifo<LaneDelivery>();
  readonly #open = new Set<LaneDelivery>();
  #maxOpen: number;

  constructor(maxOpen: number, onDelivery: (delivery: LaneDelivery) => void) {
    this.#maxOpen = maxOpen;
    this.#onDelivery = onDelivery;
  }

  get maxOpen(): number {
    return this.#maxOpen;
  }

  set maxOpen(next: number) {
    this.#maxOpen = next;
    this.#handOut();
  }

  /** Messages that may arrive and be handed out at once; negative when more wait than may. */
  get room(): number {
    return this.#maxOpen - this.#open.size - this.#waiting.length;
  }

  add(delivery: LaneDelivery): void {
    this.#waiting.push(delivery);
    this.#handOut();
  }

  remove(delivery: LaneDelivery): void {
    this.#open.delete(delivery);
    this.#handOut();
  }

  #handOut(): void {
    while (this.#open.size < this.#maxOpen) {
      const delivery = this.#waiting.shift();
      if (delivery === undefined) return;
      if (delivery.isWithdrawn) continue;
      this.#open.add(delivery);
      this.#onDelivery(delivery);
    }
  }
}
