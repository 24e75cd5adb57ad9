/** Latencies in milliseconds. */

import { createHistogram } from 'node:perf_hooks';

export class Latencies {
  readonly #histogram = createHistogram();

  record(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * 1e6)));
  }

  reset(): void {
    this.#histogram.reset();
  }

  get count(): number {
    return this.#histogram.count;
  }

  /** Milliseconds; 0 when nothing was recorded. */
  percentile(percent: number): number {
    return this.#histogram.count === 0 ? 0 : this.#histogram.percentile(percent) / 1e6;
  }
}
