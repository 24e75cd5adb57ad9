/** What every benchmark prints and computes. */

import { availableParallelism, cpus, loadavg } from 'node:os';

/**
 * Names the machine, and warns when others use it.
 * @param trustworthy the figures that a busy machine does not change
 */
export function printMachine(trustworthy: string): void {
  console.log(`Node ${process.version}, ${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown CPU'}\n`);
  const [load = 0] = loadavg();
  if (load <= availableParallelism() / 2) return;
  console.log(`WARNING: others use this machine (load ${load.toFixed(1)}): trust ${trustworthy}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

export function verdict(isMet: boolean, goal: string): string {
  return `(goal ${goal}: ${isMet ? 'met' : 'missed'})`;
}
