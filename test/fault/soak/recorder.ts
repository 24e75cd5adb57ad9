/** Notes what happens in a run, on one clock. */

import type { History, HistoryEvent } from './history.ts';

export class Recorder {
  readonly #events: HistoryEvent[] = [];
  readonly #startedMs = performance.now();
  readonly #counts = new Map<HistoryEvent['kind'], number>();

  /** Milliseconds since the start, rounded up to tenths. */
  nowMs(): number {
    return Math.ceil((performance.now() - this.#startedMs) * 10) / 10;
  }

  note(event: HistoryEvent): void {
    this.#events.push(event);
    this.#counts.set(event.kind, this.count(event.kind) + 1);
  }

  /** Everything so far, in the order in which it was noted. */
  get history(): History {
    return this.#events;
  }

  /** How many events of this kind there are so far. */
  count(kind: HistoryEvent['kind']): number {
    return this.#counts.get(kind) ?? 0;
  }
}
