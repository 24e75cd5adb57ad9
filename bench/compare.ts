/**
 * How hydrogen compares with what people would use instead: scenarios times systems, in one run, on this machine. This
 * process is the clients and the services that push; every system, and the destination, are processes of their own.
 *
 *   node bench/compare.ts [--list] [--only NAME]... [--systems NAME]... [--rounds 3] [--seconds 2]
 *                         [--against CHECKOUT] [--json FILE] [--markdown FILE]
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { dirname, join, matchesGlob, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { Comparison } from './comparison.ts';
import { fairness } from './paths/fairness.ts';
import { printMachine } from './report.ts';
import type { ScenarioResult } from './results.ts';
import { scenarios } from './scenarios/catalogue.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { fairnessMarkdown, scenarioMarkdown, scenarioText } from './tables.ts';

const cacheFolder = join(import.meta.dirname, '../.cache/bench');

/** Of others: the run itself has not begun. */
const [loadBefore = 0] = loadavg();

const { values } = parseArgs({
  options: {
    list: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    systems: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    against: { type: 'string' },
    json: { type: 'string' },
    markdown: { type: 'string' },
  },
});
if (values.list) list();
else {
  const unknown = values.systems?.find((name) => !fairness.some(({ product }) => product === name));
  if (unknown !== undefined) misuse(`--systems ${unknown}: no system has this name; --list prints all of them`);
  await run(select(values.only));
}

async function run(selected: readonly Scenario[]): Promise<void> {
  const [rounds, seconds] = [
    readNumber('rounds', values.rounds, 1, 50),
    readNumber('seconds', values.seconds, 0.2, 120),
  ];
  const against = values.against === undefined ? undefined : resolve(values.against);
  const date = new Date().toISOString();
  printMachine('CPU times, not rates');
  await using comparison = await Comparison.start({ rounds, seconds, against, products: values.systems });
  const interrupted = (): void => {
    comparison[Symbol.asyncDispose]().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const results: ScenarioResult[] = [];
  for (const scenario of selected) {
    console.log(`${scenario.name}: ${scenario.title}; ${rounds} x ${seconds} s, medians`);
    const result = await comparison.measure(scenario);
    results.push(result);
    console.log(scenarioText(result));
  }
  const file = values.json ?? join(cacheFolder, `${date.replaceAll(':', '-')}.json`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(record(date, rounds, seconds, results), undefined, 2)}\n`);
  console.log(`all rounds: ${file}`);
  if (values.markdown !== undefined) await fillMarkdown(values.markdown, date, results);
  if (results.some(({ notRun }) => notRun.some(({ isFailure }) => isFailure))) process.exitCode = 1;
}

function list(): void {
  for (const { name, title, systems } of scenarios) {
    console.log(`${name.padEnd(16)}${title}\n${' '.repeat(16)}${systems.map((system) => system.name).join(' · ')}`);
  }
  console.log('\nSystems');
  for (const { product, what, stores, orders, retries } of fairness) {
    console.log(
      `${product.padEnd(16)}${what}\n${' '.repeat(16)}stores: ${stores}; order: ${orders}; retries: ${retries}`,
    );
  }
}

/** By name, or by a pattern such as `echo*`. */
function select(names: readonly string[] | undefined): readonly Scenario[] {
  if (names === undefined) return scenarios;
  const unknown = names.find((name) => !scenarios.some((scenario) => matchesGlob(scenario.name, name)));
  if (unknown !== undefined) misuse(`--only ${unknown}: no scenario has this name; --list prints all of them`);
  return scenarios.filter((scenario) => names.some((name) => matchesGlob(scenario.name, name)));
}

function record(date: string, rounds: number, seconds: number, results: readonly ScenarioResult[]): object {
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    kernel: release(),
    loadBefore,
    node: process.version,
  };
  const all = results.map(({ scenario, systems, notRun }) => ({
    name: scenario.name,
    title: scenario.title,
    unit: scenario.unit,
    systems,
    notRun,
  }));
  return { date, machine, rounds, seconds, scenarios: all };
}

/**
 * Replaces what is between `<!-- bench:NAME -->` and `<!-- /bench -->`: for each scenario that was run its table, and for
 * `systems` what each system does with a message.
 */
async function fillMarkdown(file: string, date: string, results: readonly ScenarioResult[]): Promise<void> {
  let text = await readFile(file, 'utf8');
  const fill = (name: string, content: string): void => {
    const marker = `<!-- bench:${name} -->`;
    const begin = text.indexOf(marker);
    const end = text.indexOf('<!-- /bench -->', begin);
    if (begin < 0 || end < 0) console.error(`${file} has no place for ${name}: ${marker} and <!-- /bench -->`);
    else text = `${text.slice(0, begin + marker.length)}\n\n${content}\n\n${text.slice(end)}`;
  };
  for (const result of results) {
    const versions = new Set(result.systems.map(({ product, version }) => `${product} ${version}`));
    const origin = [`${date.slice(0, 10)}`, ...machineText(), ...versions].join('; ');
    fill(result.scenario.name, `${scenarioMarkdown(result)}\n\n${origin}.`);
  }
  fill('systems', fairnessMarkdown(fairness));
  await writeFile(file, text);
}

function machineText(): string[] {
  return [`${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown CPU'}`, `load before ${loadBefore.toFixed(1)}`];
}

function readNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (value >= min && value <= max) return value;
  misuse(`--${option} must be a number from ${min} to ${max}`);
}

function misuse(problem: string): never {
  console.error(problem);
  process.exit(2);
}
