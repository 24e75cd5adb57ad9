/** The readiness of a gateway or message processor. It is judged at each event that may change it, never by a timer. */

import type { RoleLog } from './log.ts';

export class Readiness {
  readonly #judge: () => string | undefined;
  readonly #log: RoleLog;
  readonly #waiting: (() => void)[] = [];
  #isReady = false;
  #isEnded = false;

  /** @param judge undefined when it can serve; otherwise the reason */
  constructor(judge: () => string | undefined, log: RoleLog) {
    this.#judge = judge;
    this.#log = log;
  }

  /** Undefined when it can serve; otherwise why not. */
  get reason(): string | undefined {
    return this.#judge();
  }

  /** Call it whenever the reason may have changed. Logs each change. */
  update(): void {
    if (this.#isEnded) return;
    const reason = this.#judge();
    const wasReady = this.#isReady;
    this.#isReady = reason === undefined;
    if (reason !== undefined) {
      if (wasReady) this.#log.notReady({ reason });
      return;
    }
    if (!wasReady) this.#log.ready();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** From now on no change is logged: the process is stopping, and the log says so. */
  end(): void {
    this.#isEnded = true;
  }

  /** Resolves once it can serve. */
  reached(): Promise<void> {
    return this.#isReady ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
