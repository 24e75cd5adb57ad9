/** What a comparison found: the rounds of each system, their medians and spread, and the systems that did not run. */

import { median } from './report.ts';
import type { Figures, Medians, Scenario } from './scenarios/scenario.ts';

export interface SystemResult {
  readonly system: string;
  readonly product: string;
  readonly version: string;
  /** Resident memory of each process before the first client. */
  readonly idleBytes: Readonly<Record<string, number>>;
  readonly rounds: readonly Figures[];
}

export interface NotRun {
  readonly system: string;
  readonly reason: string;
  /** False for a system that is not on this machine, true for one that did not do the work. */
  readonly isFailure: boolean;
}

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly systems: readonly SystemResult[];
  readonly notRun: readonly NotRun[];
}

/** A median with the smallest and largest value. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf({ rounds }: SystemResult, read: (figures: Figures) => number): Spread {
  const values = rounds.map(read);
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/** CPU time per unit of all processes of a system. */
export function totalCpu({ cpuMicroseconds }: Figures): number {
  return Object.values(cpuMicroseconds).reduce((sum, us) => sum + us, 0);
}

/** Medians by name of a process. */
export function medianByName(
  { rounds }: SystemResult,
  read: (figures: Figures) => Readonly<Record<string, number>>,
): Record<string, number> {
  const names = new Set(rounds.flatMap((figures) => Object.keys(read(figures))));
  return Object.fromEntries([...names].map((name) => [name, median(rounds.map((one) => read(one)[name] ?? 0))]));
}

/** Medians of one system, for goals; all NaN for one that was not measured. */
export function mediansOf(result: SystemResult | undefined): Medians {
  const rounds = result?.rounds ?? [];
  const read = (get: (figures: Figures) => number): number => median(rounds.map(get));
  return {
    rate: read(({ rate }) => rate),
    p50Ms: read(({ p50Ms = Number.NaN }) => p50Ms),
    p99Ms: read(({ p99Ms = Number.NaN }) => p99Ms),
    cpuMicroseconds: read(totalCpu),
    largestBytes: read(({ residentBytes }) => Math.max(...Object.values(residentBytes))),
    largestIdleBytes: result === undefined ? Number.NaN : Math.max(...Object.values(result.idleBytes)),
    more: (heading) => read(({ more }) => more?.[heading] ?? Number.NaN),
  };
}

/** A goal and whether it is met; undefined when what it compares was not measured. */
export interface GoalResult {
  readonly text: string;
  readonly value: number;
  readonly wanted: string;
  readonly isMet: boolean | undefined;
}

export function goalsOf({ scenario, systems }: ScenarioResult): GoalResult[] {
  const of = (name: string): Medians => mediansOf(systems.find(({ system }) => system === name));
  return (scenario.goals ?? []).map(({ text, value: read, atLeast, atMost }) => {
    const value = read(of);
    const isMet = Number.isNaN(value) ? undefined : value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
    return { text, value, wanted: atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`, isMet };
  });
}
