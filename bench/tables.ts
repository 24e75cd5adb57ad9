/** A comparison as tables: aligned for a terminal, or in Markdown. */

import type { FairnessNote } from './paths/fairness.ts';
import {
  type GoalResult,
  goalsOf,
  medianByName,
  type ScenarioResult,
  type Spread,
  type SystemResult,
  spreadOf,
  totalCpu,
} from './results.ts';

type Row = readonly string[];

/** One table for a scenario, then what did not run, then the goals. */
export function scenarioText(result: ScenarioResult): string {
  const [head, ...rows] = tableOf(result);
  const all = [head ?? [], ...rows];
  const widths = (head ?? []).map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  );
  return [...lines.map((line) => line.trimEnd()), ...remarks(result), ''].join('\n');
}

export function scenarioMarkdown(result: ScenarioResult): string {
  const [head = [], ...rows] = tableOf(result);
  const lines = remarks(result).map((text) => `- ${text}`);
  return [markdownTable(head, rows, '---:'), ...(lines.length > 0 ? ['', ...lines] : [])].join('\n');
}

export function fairnessMarkdown(notes: readonly FairnessNote[]): string {
  const rows = notes.map(({ product, what, stores, orders, retries }) => [product, what, stores, orders, retries]);
  return markdownTable(['system', 'what runs', 'stores', 'order', 'retries'], rows, '---');
}

function markdownTable(head: Row, rows: readonly Row[], align: string): string {
  const line = (cells: Row): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 ? '---' : align));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function tableOf({ scenario, systems }: ScenarioResult): Row[] {
  const base = systems.find(({ product }) => product === 'floor' || product === 'raw') ?? systems[0];
  const more = [...new Set(systems.flatMap(({ rounds }) => rounds.flatMap(({ more = {} }) => Object.keys(more))))];
  const isTimed = systems.some(({ rounds }) => rounds[0]?.p50Ms !== undefined);
  const head = [
    'system',
    `${scenario.unit}/s`,
    'spread',
    `of ${base?.system ?? ''}`,
    ...(isTimed ? ['p50 ms', 'p99 ms'] : []),
    ...more,
    'CPU us',
    'CPU of each process, us',
    'RSS MB, idle -> under load',
  ];
  return [head, ...systems.map((system) => rowOf(system, base, more, isTimed))];
}

function rowOf(result: SystemResult, base: SystemResult | undefined, more: readonly string[], isTimed: boolean): Row {
  const rate = spreadOf(result, (figures) => figures.rate);
  const ratio = base === undefined ? Number.NaN : rate.median / spreadOf(base, (figures) => figures.rate).median;
  const ms = (read: 'p50Ms' | 'p99Ms'): string => decimal(spreadOf(result, (one) => one[read] ?? Number.NaN).median);
  const resident = medianByName(result, (one) => one.residentBytes);
  return [
    result.system,
    whole(rate.median),
    result.rounds.length > 1 ? percent(rate) : '-',
    ratio.toFixed(2),
    ...(isTimed ? [ms('p50Ms'), ms('p99Ms')] : []),
    ...more.map((heading) => decimal(spreadOf(result, (one) => one.more?.[heading] ?? Number.NaN).median)),
    whole(spreadOf(result, totalCpu).median),
    named(
      medianByName(result, (one) => one.cpuMicroseconds),
      whole,
    ),
    named(resident, (bytes, name) => `${mega(result.idleBytes[name] ?? Number.NaN)} -> ${mega(bytes)}`),
  ];
}

function remarks(result: ScenarioResult): string[] {
  const notRun = result.notRun.map(
    ({ system, reason, isFailure }) => `${isFailure ? 'FAILED' : 'not run'}: ${system}: ${reason}`,
  );
  return [...notRun, ...goalsOf(result).map(goalText)];
}

function goalText({ text, value, wanted, isMet }: GoalResult): string {
  if (isMet === undefined) return `goal: ${text} ${wanted}: not measured`;
  return `goal: ${text} ${wanted}: ${decimal(value)}, ${isMet ? 'met' : 'missed'}`;
}

function named(values: Readonly<Record<string, number>>, format: (value: number, name: string) => string): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${format(value, name)}`)
    .join(', ');
}

function percent({ median, least, most }: Spread): string {
  return `-${(100 * (1 - least / median)).toFixed(0)} +${(100 * (most / median - 1)).toFixed(0)} %`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function mega(bytes: number): string {
  return Number.isNaN(bytes) ? '?' : `${Math.round(bytes / 1e6)}`;
}

/** Three significant digits below 100. */
function decimal(value: number): string {
  if (Number.isNaN(value)) return '-';
  return Math.abs(value) >= 100 ? whole(value) : `${Number(value.toPrecision(3))}`;
}
