/**
 * The statistics of a gateway or message processor: one log line per interval, with what has happened since the last
 * one.
 */

type Numbers = Readonly<Record<string, number>>;

export class Statistics {
  readonly #totals: () => Numbers;
  readonly #gauges: () => Numbers | Promise<Numbers>;
  readonly #emit: (facts: Numbers) => void;
  #before: Numbers = {};
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param totals counters since the start; each line has the difference from the last one
   * @param gauges current values
   */
  constructor(totals: () => Numbers, gauges: () => Numbers | Promise<Numbers>, emit: (facts: Numbers) => void) {
    this.#totals = totals;
    this.#gauges = gauges;
    this.#emit = emit;
  }

  /** Starts over when called again. @param seconds 0: none */
  schedule(seconds: number): void {
    clearInterval(this.#timer);
    if (seconds <= 0) return;
    this.#before = this.#totals();
    this.#timer = setInterval(() => void this.#report(seconds), seconds * 1000);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #report(intervalSeconds: number): Promise<void> {
    const now = this.#totals();
    const before = this.#before;
    const differences = Object.entries(now).map(([name, value]) => [name, value - (before[name] ?? 0)]);
    this.#before = now;
    this.#emit({ intervalSeconds, ...(await this.#gauges()), ...Object.fromEntries(differences) });
  }
}
