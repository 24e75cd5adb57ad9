/** What a scenario is: work that several systems do in turns, and the figures that it yields. */

import type { ComparedPath, DestinationUrls, System } from '../paths/path.ts';
import type { BenchProcess } from '../processes.ts';

export interface Figures {
  /** Per second; of what, `Scenario.unit` says. */
  readonly rate: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** CPU time per unit of each process of the system. */
  readonly cpuMicroseconds: Readonly<Record<string, number>>;
  /** CPU time per unit of the driver and of the destination, which no system is charged with. */
  readonly besideMicroseconds: Readonly<Record<string, number>>;
  /** Resident memory of each process of the system while it works. */
  readonly residentBytes: Readonly<Record<string, number>>;
  /** Whatever else the scenario measures; the key is the heading of its column, with the unit. */
  readonly more?: Readonly<Record<string, number>>;
}

/** What a scenario works with in one round. */
export interface Round {
  readonly path: ComparedPath;
  readonly destination: BenchProcess;
  readonly urls: DestinationUrls;
  /** Of the window in which figures are taken. */
  readonly seconds: number;
  /** Of the same load before it. */
  readonly warmUpSeconds: number;
}

export interface Goal {
  readonly text: string;
  /** Of the medians by name of the system; NaN when a system was not measured. */
  value(of: (system: string) => Medians): number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** Medians of a system's rounds; NaN for what was not measured. */
export interface Medians {
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time per unit of all processes. */
  readonly cpuMicroseconds: number;
  /** Resident memory of the largest process: while it works, and before the first client. */
  readonly largestBytes: number;
  readonly largestIdleBytes: number;
  more(heading: string): number;
}

export interface Scenario {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** What is counted, such as `answers`. */
  readonly unit: string;
  readonly systems: readonly System[];
  readonly goals?: readonly Goal[];
  /** Every round begins with new processes. @default false: they do all rounds */
  readonly isFreshEachRound?: boolean;
  measure(round: Round): Promise<Figures>;
}
