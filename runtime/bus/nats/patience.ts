/**
 * How long an acknowledgement is waited for. One that comes late shows that the stream is slow and not that it has lost
 * anything: whoever publishes again what is merely late adds to the load that made it late.
 */

const leastMs = 5000;
const mostMs = 30_000;
/** The part of it that remains with each acknowledgement in time. */
const decay = 0.99;

export class Patience {
  #ms = leastMs;

  get ms(): number {
    return this.#ms;
  }

  /** An acknowledgement has come. @param tookMs since its message was first sent */
  answered(tookMs: number): void {
    if (tookMs > this.#ms / 2) this.#ms = Math.min(mostMs, 2 * tookMs);
    else this.#ms = Math.max(leastMs, this.#ms * decay);
  }
}
