/** What one destination has in this process: the deliveries that run, those that wait for room, and its circuit. */

import { Fifo } from '../fifo.ts';
import type { CircuitState } from '../role/events.ts';
import { Circuit, type CircuitOptions } from './circuit.ts';
import type { OpenDelivery } from './open-delivery.ts';

/** Milliseconds that others may be held up by a destination which is merely busy. */
const slowMs = 50;
const averagedOver = 32;

export class DestinationQueue {
  /** A rule, the origin of a URL, or one of the queues of hydrogen's own; also the name of its waiting room. */
  readonly name: string;
  /** Deliveries that may run at once; may be changed at any time. */
  limit: number;
  /** True if its deliveries take places of `maxInFlight`. */
  readonly takesPlaces: boolean;
  readonly circuit: Circuit;
  readonly waiting = new Fifo<OpenDelivery>();
  running = 0;
  /** Moving average of how long a delivery runs. */
  #durationMs = 0;
  #lastEndMs = performance.now();

  constructor(
    name: string,
    limit: number,
    takesPlaces: boolean,
    circuit: CircuitOptions,
    onCircuit: (queue: DestinationQueue, state: CircuitState) => void,
  ) {
    this.name = name;
    this.limit = limit;
    this.takesPlaces = takesPlaces;
    this.circuit = new Circuit(circuit, (state) => onCircuit(this, state));
  }

  /** True if one more may run now. */
  get hasRoom(): boolean {
    return this.running < this.limit && this.running < this.circuit.admits;
  }

  /**
   * True if what waits here will wait noticeably long, because deliveries take long, none has ended for a while, or the
   * circuit is not closed.
   */
  get isSlow(): boolean {
    return (
      this.circuit.state !== 'closed' ||
      this.#durationMs > slowMs ||
      (this.running > 0 && performance.now() - this.#lastEndMs > slowMs)
    );
  }

  begin(): void {
    if (this.running === 0) this.#lastEndMs = performance.now();
    this.running += 1;
  }

  end(durationMs: number): void {
    this.running -= 1;
    this.#lastEndMs = performance.now();
    this.#durationMs += (durationMs - this.#durationMs) / averagedOver;
  }

  /** True once nothing refers to it and it has nothing to remember. */
  get isIdle(): boolean {
    return this.running === 0 && this.waiting.length === 0 && this.circuit.state === 'closed';
  }
}
