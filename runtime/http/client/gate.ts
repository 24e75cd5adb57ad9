/**
 * Admits calls to one origin, a limited number at once. Calls wait here and not in undici's pool, because a call that
 * runs out of time can be removed here: when an origin is dead, the pool's queue would keep every abandoned call and
 * try to connect for each.
 */

/** A call as the gate sees it. */
export interface Admissible {
  /** Sends it. `leave` is called exactly once afterwards, when it no longer occupies a connection. */
  send(): void;
  abort(): void;
}

export class CallGate {
  readonly #limit: number;
  readonly #onEmpty: () => void;
  readonly #active = new Set<Admissible>();
  readonly #waiting = new Set<Admissible>();

  /** @param onEmpty called when no call is active or waiting: the gate may be discarded */
  constructor(limit: number, onEmpty: () => void) {
    this.#limit = limit;
    this.#onEmpty = onEmpty;
  }

  enter(call: Admissible): void {
    if (this.#active.size >= this.#limit) {
      this.#waiting.add(call);
      return;
    }
    this.#active.add(call);
    call.send();
  }

  /** Frees the connection of an active call, or gives up a waiting one. */
  leave(call: Admissible): void {
    if (this.#active.delete(call)) this.#admit();
    else this.#waiting.delete(call);
    if (this.#active.size === 0 && this.#waiting.size === 0) this.#onEmpty();
  }

  isWaiting(call: Admissible): boolean {
    return this.#waiting.has(call);
  }

  abort(): void {
    for (const call of [...this.#waiting, ...this.#active]) call.abort();
  }

  #admit(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      this.#active.add(next);
      next.send();
      return;
    }
  }
}
