/**
 * The long form: `npm run test:fault -- [--seed N] [--minutes M] [--without kind]... [--only kind]... [--history FILE]`.
 * Exits with 1 when a promise is broken, and prints what repeats the run.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Trouble, troubles } from './plan.ts';
import { runSoak, type SoakReport } from './soak.ts';

const shownOfEach = 10;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '5' },
    without: { type: 'string', multiple: true, default: [] },
    only: { type: 'string', multiple: true, default: [] },
    history: { type: 'string' },
  },
});
const seed = readNumber('seed', values.seed ?? `${Date.now() % 100_000}`, 0, 2 ** 31);
const minutes = readNumber('minutes', values.minutes, 0.1, 24 * 60);
const without = readTroubles('without', values.without);
const only = readTroubles('only', values.only);

const command = `npm run test:fault -- --seed ${seed} --minutes ${minutes}${flags('without', without)}${flags('only', only)}`;
console.log(command);
const report = await runSoak({
  seed,
  durationMs: minutes * 60_000,
  troubles: troubles.filter((one) => !without.includes(one) && (only.length === 0 || only.includes(one))),
  onProgress: (line) => console.log(line),
});
print(report);
if (values.history !== undefined) writeHistory(values.history, report);
process.exitCode = report.violations.length + report.failures.length === 0 ? 0 : 1;

function print({ counts, violations, failures, history }: SoakReport): void {
  console.log('\ncounts');
  for (const [name, count] of Object.entries(counts).sort(([a], [b]) => a.localeCompare(b))) {
    console.log(`  ${name.padEnd(44)} ${count}`);
  }
  console.log('\nmemory at its highest, CPU at rest');
  for (const event of history) {
    if (event.kind !== 'measured') continue;
    const mebibytes = Math.round(event.residentBytes / 1_048_576);
    console.log(
      `  ${event.process.padEnd(14)} ${mebibytes} MiB, ${((event.idleCpu ?? 0) * 100).toFixed(1)} % of a core`,
    );
  }
  for (const failure of failures) console.log(`\ncould not be done: ${failure}`);
  for (const [promise, broken] of Map.groupBy(violations, (one) => one.promise)) {
    console.log(`\nBROKEN ${broken.length} times: ${promise}`);
    for (const { subject, detail } of broken.slice(0, shownOfEach)) console.log(`  ${subject}: ${detail}`);
  }
  console.log(violations.length === 0 ? '\nevery promise was kept' : `\nto repeat it: ${command}`);
}

/** One event a line, and the output of each process beside it. */
function writeHistory(file: string, { history, outputs }: SoakReport): void {
  writeFileSync(file, history.map((event) => JSON.stringify(event)).join('\n'));
  for (const [name, output] of Object.entries(outputs)) writeFileSync(`${file}.${name}.log`, output);
}

function readTroubles(option: string, names: readonly string[]): Trouble[] {
  const unknown = names.find((name) => !(troubles as readonly string[]).includes(name));
  if (unknown !== undefined) misuse(`--${option} ${unknown}: must be one of ${troubles.join(', ')}`);
  return names as Trouble[]; // checked in the line above
}

function readNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text !== '' && value >= min && value <= max) return value;
  return misuse(`--${option} must be a number from ${min} to ${max}`);
}

function flags(option: string, names: readonly string[]): string {
  return names.map((name) => ` --${option} ${name}`).join('');
}

function misuse(problem: string): never {
  console.error(problem);
  process.exit(2);
}
