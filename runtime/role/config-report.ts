/** What this pod reports: about its configuration, and what waits in it. See `bus/port/reports.ts`. */

import type { PodReport, ReportSource } from '../bus/port/reports.ts';

/** The outcome of a new configuration. */
export type Reconfigured =
  /** @property needsRestart the fields whose new values only another process can take over */
  | { readonly kind: 'taken'; readonly needsRestart: readonly string[] }
  /** The earlier one stays in force. */
  | { readonly kind: 'refused'; readonly problem: string };

export class ConfigReport implements ReportSource {
  readonly #listeners: (() => void)[] = [];
  #current: PodReport;
  #latest: string | undefined;
  #backlogs: () => NonNullable<PodReport['backlogs']> = () => [];

  /** @param initial with the digest of the configuration that the process was started with */
  constructor(initial: PodReport) {
    this.#current = initial;
  }

  get current(): PodReport {
    const backlogs = this.#backlogs();
    return backlogs.length === 0 ? this.#current : { ...this.#current, backlogs };
  }

  /** From now on the report says what waits, as of the moment at which it is read. */
  addBacklogs(read: () => NonNullable<PodReport['backlogs']>): void {
    this.#backlogs = read;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Notes the outcome of a new configuration, unless a later one came before it. One that needs a restart is not in force:
   * the pod goes on to report the earlier one.
   */
  async note(digest: string, pending: Reconfigured | Promise<Reconfigured>): Promise<void> {
    this.#latest = digest;
    const outcome = await pending;
    if (this.#latest !== digest) return;
    if (outcome.kind === 'refused') this.#become({ refused: { digest, problem: outcome.problem } });
    else if (outcome.needsRestart.length > 0) this.#become({ refused: undefined });
    else this.#become({ digest, refused: undefined });
  }

  /** The process stops. */
  leave(): void {
    this.#become({ isLeaving: true });
  }

  #become(change: Partial<PodReport>): void {
    const next = { ...this.#current, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.#current)) return;
    this.#current = next;
    for (const listener of this.#listeners) listener();
  }
}
