/** For log lines that a stranger can cause as often as he likes: lets one through per interval, and counts the rest. */

export class Occasionally {
  readonly #intervalMs: number;
  #nextAtMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** @param intervalMs milliseconds between two that are let through */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** How often it was called since it last let one through, this call included; undefined when it is too early. */
  take(): number | undefined {
    this.#count += 1;
    const nowMs = performance.now();
    if (nowMs < this.#nextAtMs) return undefined;
    const count = this.#count;
    this.#nextAtMs = nowMs + this.#intervalMs;
    this.#count = 0;
    return count;
  }
}
