/**
 * The circuit breaker of one destination (Nygard, "Release It!"). When messages of several connections have failed and
 * none has succeeded in between, the destination gets no requests for a while; then a few probes decide whether it is
 * closed again. What waits meanwhile burns no attempts. Connections are counted and not messages, so that a client whose
 * messages always fail does not close a destination to others.
 */

import type { CircuitState } from '../role/events.ts';

/** How the circuits of a processor behave. */
export interface CircuitOptions {
  /** Connections whose messages must fail before it opens; also the number of probes that may run at once. */
  readonly connections: number;
  /** Milliseconds until the first probes; doubled each time they have failed. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

export const defaultCircuit: CircuitOptions = { connections: 5, firstDelayMs: 1_000, maxDelayMs: 30_000 };

export class Circuit {
  readonly #options: CircuitOptions;
  readonly #onChange: (state: CircuitState) => void;
  /** Connections whose messages have failed since the last success. */
  readonly #failed = new Set<string>();
  #state: CircuitState = 'closed';
  #failingSinceMs: number | undefined;
  #delayMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param onChange called after each change of the state */
  constructor(options: CircuitOptions, onChange: (state: CircuitState) => void) {
    this.#options = options;
    this.#onChange = onChange;
    this.#delayMs = options.firstDelayMs;
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** Since when it has not been closed, in milliseconds since the epoch; undefined while it is. */
  get failingSinceMs(): number | undefined {
    return this.#failingSinceMs;
  }

  /** Requests that may be under way at once, as far as the circuit is concerned. */
  get admits(): number {
    if (this.#state === 'closed') return Number.POSITIVE_INFINITY;
    return this.#state === 'open' ? 0 : this.#options.connections;
  }

  succeeded(): void {
    if (this.#state === 'closed' && this.#failed.size === 0) return;
    this.#failed.clear();
    this.#delayMs = this.#options.firstDelayMs;
    this.#become('closed');
  }

  /** @param retryAfterMs how long the destination asked to be left alone, 0 if it did not */
  failed(connectionId: string, retryAfterMs: number): void {
    if (this.#state === 'open') return;
    this.#failed.add(connectionId);
    if (this.#failed.size < this.#options.connections) return;
    this.#failed.clear();
    const delayMs = Math.max(this.#delayMs, retryAfterMs);
    this.#delayMs = Math.min(this.#options.maxDelayMs, this.#delayMs * 2);
    this.#timer = setTimeout(() => this.#become('halfOpen'), delayMs).unref();
    this.#become('open');
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #become(state: CircuitState): void {
    if (state === this.#state) return;
    if (state === 'closed') clearTimeout(this.#timer);
    this.#failingSinceMs = state === 'closed' ? undefined : (this.#failingSinceMs ?? Date.now());
    this.#state = state;
    this.#onChange(state);
  }
}
