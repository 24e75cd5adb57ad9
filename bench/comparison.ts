/**
 * One run of the comparison: a destination for all, and for each scenario its systems, started afresh. The systems do the
 * work in turns, and who begins changes with every round, so that slow drifts of the machine affect all of them alike.
 */

import { join } from 'node:path';

import { freePorts } from '../test/kit/ports.ts';
import type { ComparedPath, DestinationUrls, System } from './paths/path.ts';
import { type BenchProcess, startBenchProcess } from './processes.ts';
import type { NotRun, ScenarioResult, SystemResult } from './results.ts';
import type { Figures, Scenario } from './scenarios/scenario.ts';
import { residentBytes } from './scenarios/window.ts';

export interface ComparisonOptions {
  readonly rounds: number;
  /** Of each measurement. */
  readonly seconds: number;
  /** Folder of another checkout, which takes part wherever hydrogen does. */
  readonly against: string | undefined;
  /** Only systems of these products take part. @default all */
  readonly products: readonly string[] | undefined;
}

/** The first round warms up code; the later ones only have to fill queues again. */
const [firstWarmUpSeconds, warmUpSeconds] = [1.5, 0.3];

interface Contestant {
  readonly system: System;
  readonly version: string;
  readonly path: ComparedPath;
  readonly idleBytes: Readonly<Record<string, number>>;
  readonly rounds: Figures[];
  failure: string | undefined;
}

export class Comparison implements AsyncDisposable {
  readonly #options: ComparisonOptions;
  readonly #destination: BenchProcess;
  readonly #urls: DestinationUrls;
  #running = new AsyncDisposableStack();

  private constructor(options: ComparisonOptions, destination: BenchProcess, urls: DestinationUrls) {
    this.#options = options;
    this.#destination = destination;
    this.#urls = urls;
  }

  static async start(options: ComparisonOptions): Promise<Comparison> {
    const ports = await freePorts(2);
    const script = join(import.meta.dirname, 'destination/destination.ts');
    const destination = startBenchProcess('destination', process.execPath, [script, ...ports.map(String)]);
    const [url = '', slow = ''] = ports.map((port) => `http://127.0.0.1:${port}`);
    await destination.answers(url);
    return new Comparison(options, destination, { destination: url, slow });
  }

  async measure(scenario: Scenario): Promise<ScenarioResult> {
    const { rounds } = this.#options;
    if (!scenario.isFreshEachRound) return this.#measureRounds(scenario, rounds);
    const results: ScenarioResult[] = [];
    for (let round = 0; round < rounds; round += 1) results.push(await this.#measureRounds(scenario, 1));
    return merged(scenario, results);
  }

  async #measureRounds(scenario: Scenario, rounds: number): Promise<ScenarioResult> {
    this.#running = new AsyncDisposableStack();
    try {
      const { contestants, notRun } = await this.#startAll(scenario);
      for (let round = 0; round < rounds; round += 1) {
        const first = round % Math.max(1, contestants.length);
        for (const one of [...contestants.slice(first), ...contestants.slice(0, first)]) {
          if (one.failure === undefined) await this.#measureOne(scenario, one, round);
        }
      }
      const failures = contestants.flatMap<NotRun>(({ system, failure }) =>
        failure === undefined ? [] : [{ system: system.name, reason: failure, isFailure: true }],
      );
      return {
        scenario,
        systems: contestants.filter(({ failure }) => failure === undefined).map(toResult),
        notRun: [...notRun, ...failures],
      };
    } finally {
      await this.#running.disposeAsync();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
    await this.#destination[Symbol.asyncDispose]();
  }

  async #startAll({ systems }: Scenario): Promise<{ contestants: Contestant[]; notRun: NotRun[] }> {
    const contestants: Contestant[] = [];
    const notRun: NotRun[] = [];
    for (const system of systems.flatMap((one) => this.#chosen(one))) {
      let version: string;
      try {
        version = await system.version();
      } catch (err) {
        notRun.push({ system: system.name, reason: reasonOf(err), isFailure: false });
        continue;
      }
      try {
        const path = this.#running.use(await system.start(this.#urls));
        const idleBytes = residentBytes(path.processes);
        contestants.push({ system, version, path, idleBytes, rounds: [], failure: undefined });
      } catch (err) {
        notRun.push({ system: system.name, reason: reasonOf(err), isFailure: true });
      }
    }
    return { contestants, notRun };
  }

  #chosen(system: System): System[] {
    const { against, products } = this.#options;
    if (products !== undefined && !products.includes(system.product)) return [];
    return against === undefined || system.of === undefined ? [system] : [system, system.of(against)];
  }

  async #measureOne(scenario: Scenario, one: Contestant, round: number): Promise<void> {
    const { seconds } = this.#options;
    const warmUp = round === 0 ? firstWarmUpSeconds : warmUpSeconds;
    try {
      const { path } = one;
      const work = { path, destination: this.#destination, urls: this.#urls, seconds, warmUpSeconds: warmUp };
      one.rounds.push(await scenario.measure(work));
    } catch (err) {
      one.failure = reasonOf(err);
    }
  }
}

function toResult({ system, version, idleBytes, rounds }: Contestant): SystemResult {
  return { system: system.name, product: system.product, version, idleBytes, rounds };
}

/** In one line. */
function reasonOf(err: unknown): string {
  const text = err instanceof Error ? err.message : String(err);
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** One result of several; a system that failed once has failed. */
function merged(scenario: Scenario, results: readonly ScenarioResult[]): ScenarioResult {
  const notRun = new Map(results.flatMap((result) => result.notRun.map((one) => [one.system, one])));
  const systems = new Map<string, SystemResult>();
  for (const one of results.flatMap((result) => result.systems)) {
    const rounds = [...(systems.get(one.system)?.rounds ?? []), ...one.rounds];
    if (!notRun.has(one.system)) systems.set(one.system, { ...one, rounds });
  }
  return { scenario, systems: [...systems.values()], notRun: [...notRun.values()] };
}
