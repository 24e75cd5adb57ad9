/** The interval statistics of a gateway or processor: a log line with what happened since the last one. */

type Numbers = Readonly<Record<string, number>>;

export interface Statistics {
  /** @param seconds 0: none. Starts over when called again. */
  schedule(seconds: number): void;
  stop(): void;
}

/**
 * @param totals counters since the start, of which each line says the difference
 * @param gauges values of the moment
 */
export function createStatistics(
  totals: () => Numbers,
  gauges: () => Numbers | Promise<Numbers>,
  emit: (facts: Numbers) => void,
): Statistics {
  let timer: NodeJS.Timeout | undefined;
  let before: Numbers = totals();

  async function report(intervalSeconds: number): Promise<void> {
    const now = totals();
    const differences = Object.entries(now).map(([name, value]) => [name, value - (before[name] ?? 0)]);
    before = now;
    emit({ intervalSeconds, ...(await gauges()), ...Object.fromEntries(differences) });
  }

  return {
    schedule(seconds) {
      clearInterval(timer);
      if (seconds <= 0) return;
      before = totals();
      timer = setInterval(() => void report(seconds), seconds * 1000);
      timer.unref();
    },
    stop() {
      clearInterval(timer);
    },
  };
}
