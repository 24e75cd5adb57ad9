/**
 * What the pods of one group report about their configuration, and what waits in them. A pod says so whenever it changes, and everybody is asked
 * now and then: whoever does not answer is gone.
 */
import { isDeepStrictEqual } from 'node:util';
import { firstMean } from '../../runtime/bus/nats/entry-sizes.ts';
import type { NatsGroup } from '../../runtime/bus/nats/group.ts';
import type { PodReport } from '../../runtime/bus/port/reports.ts';

interface Known {
  readonly report: PodReport;
  readonly heardAtMs: number;
}

/** How long pods may take to answer. */
const answerMs = 2000;

/** Whoever reaches a group's NATS can publish reports, and must not exhaust the memory of an operator for all tenants. */
const maxPods = 4096;

export class GroupReports {
  readonly #nats: NatsGroup;
  readonly #onChange: (kind: string, name: string) => void;
  readonly #onKnown: () => void;
  readonly #pods = new Map<string, Known>();
  #askedAtMs: number | undefined;
  /** When those that have not answered are forgotten; undefined: nobody has been asked since the last time. */
  #dueAtMs: number | undefined;
  #isKnown = false;

  /** @param onChange the reports about this object have changed. @param onKnown from now on there are reports */
  constructor(nats: NatsGroup, onChange: (kind: string, name: string) => void, onKnown: () => void) {
    this.#nats = nats;
    this.#onChange = onChange;
    this.#onKnown = onKnown;
    nats.onReport((report) => this.#hear(report));
  }

  /** When `work` has something to do; undefined: never, so far. */
  get dueAtMs(): number | undefined {
    return this.#dueAtMs;
  }

  /** The latest report of each pod; undefined until all of them have been asked once. */
  of(kind: string, name: string): readonly PodReport[] | undefined {
    if (!this.#isKnown) return undefined;
    const reports = [...this.#pods.values()].map(({ report }) => report);
    return reports.filter((report) => report.kind === kind && report.name === name);
  }

  /** How many messages the entries of a processor hold on average, as its pods say. */
  messagesPerEntry(processor: string): number {
    const means = [...this.#pods.values()].flatMap(({ report: { kind, name, messagesPerEntry } }) =>
      kind === 'HydrogenMessageProcessor' && name === processor ? (messagesPerEntry ?? []) : [],
    );
    return means.length === 0 ? firstMean : means.reduce((sum, mean) => sum + mean, 0) / means.length;
  }

  /** Asks every pod, unless they are just being asked. */
  ask(): void {
    if (this.#dueAtMs !== undefined) return;
    this.#askedAtMs = performance.now();
    this.#dueAtMs = this.#askedAtMs + answerMs;
    this.#nats.askForReports();
  }

  /** Forgets pods that have not answered in time. */
  work(): void {
    if (this.#dueAtMs === undefined || performance.now() < this.#dueAtMs) return;
    this.#dueAtMs = undefined;
    for (const [key, { report, heardAtMs }] of this.#pods) {
      if (heardAtMs < (this.#askedAtMs ?? 0)) this.#forget(key, report);
    }
    if (this.#isKnown) return;
    this.#isKnown = true;
    this.#onKnown();
  }

  #hear(report: PodReport): void {
    const { kind, name, pod } = report;
    const key = `${kind}/${name}/${pod}`;
    const known = this.#pods.get(key);
    if (report.isLeaving === true) {
      if (known !== undefined) this.#forget(key, report);
      return;
    }
    if (known === undefined && this.#pods.size >= maxPods) return;
    this.#pods.set(key, { report, heardAtMs: performance.now() });
    if (known === undefined || !isSame(known.report, report)) this.#change(report);
  }

  #forget(key: string, report: PodReport): void {
    this.#pods.delete(key);
    this.#change(report);
  }

  #change({ kind, name }: PodReport): void {
    if (this.#isKnown) this.#onChange(kind, name);
  }
}

/** Whether they say the same about the configuration and about what waits. */
function isSame(a: PodReport, b: PodReport): boolean {
  const isSameConfig = a.digest === b.digest && isDeepStrictEqual(a.refused, b.refused);
  return isSameConfig && isDeepStrictEqual(a.backlogs, b.backlogs);
}
