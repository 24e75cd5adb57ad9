/**
 * Reconciliations that do not succeed for some time. A failure is normal and is retried at once; one that goes on, or an
 * API server that does not answer, must show in the object's status, or it keeps that of an earlier specification.
 */

/** Reports an object that is overdue. Must not reject. @param error the last one; undefined: none yet, only silence */
export type ReportOverdue = (error: unknown) => Promise<void>;

/** One attempt to reconcile an object. */
export interface Attempt {
  /** From now on nothing is reported unless the attempt fails; resolves when no report is under way. */
  settle(): Promise<void>;
  succeed(): void;
  /** Reports the error if the object is overdue. */
  fail(error: unknown): Promise<void>;
}

interface Failing {
  /** When the first attempt began. */
  readonly sinceMs: number;
  error: unknown;
}

export class Overdue {
  readonly #afterMs: number;
  /** The objects that have not been reconciled since their first attempt. */
  readonly #failing = new Map<string, Failing>();

  /** @param afterMs how long attempts may fail, or wait, until that is reported */
  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  begin(key: string, report: ReportOverdue): Attempt {
    const failing = this.#failing.get(key) ?? { sinceMs: performance.now(), error: undefined };
    this.#failing.set(key, failing);
    let reporting: Promise<void> | undefined;
    const timer = setTimeout(() => {
      reporting = report(failing.error);
    }, this.#afterMs).unref();
    const settle = async (): Promise<void> => {
      clearTimeout(timer);
      await reporting;
    };
    return {
      settle,
      succeed: () => this.forget(key),
      fail: async (error) => {
        failing.error = error;
        await settle();
        if (performance.now() - failing.sinceMs >= this.#afterMs) await report(error);
      },
    };
  }

  /** The object is gone, or reconciled. */
  forget(key: string): void {
    this.#failing.delete(key);
  }
}
