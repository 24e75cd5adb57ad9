/** The figures of some work: time, CPU and memory of every process while it was done. */

import type { BenchProcess } from '../processes.ts';
import type { Figures, Round } from './scenario.ts';

type ByName = Readonly<Record<string, number>>;

/** Does the work and divides what it took by the number of units that `work` resolves with. */
export async function measureWork(
  { path, destination }: Pick<Round, 'path' | 'destination'>,
  work: () => Promise<number>,
): Promise<Figures> {
  const before = readCpu(path.processes, destination);
  const startMs = performance.now();
  const count = await work();
  const seconds = (performance.now() - startMs) / 1000;
  if (count === 0) throw new Error(`nothing was done in ${seconds.toFixed(1)} s`);
  const after = readCpu(path.processes, destination);
  return {
    rate: count / seconds,
    cpuMicroseconds: perUnit(after.system, before.system, count),
    besideMicroseconds: perUnit(after.beside, before.beside, count),
    residentBytes: residentBytes(path.processes),
  };
}

/** By name; processes of one name are added up. */
export function residentBytes(processes: readonly BenchProcess[]): ByName {
  return sumByName(processes, (process) => process.memoryBytes().resident);
}

function readCpu(processes: readonly BenchProcess[], destination: BenchProcess): { system: ByName; beside: ByName } {
  const { user, system } = process.cpuUsage();
  return {
    system: sumByName(processes, (one) => one.cpuMicroseconds()),
    beside: { destination: destination.cpuMicroseconds(), driver: user + system },
  };
}

function sumByName(processes: readonly BenchProcess[], read: (process: BenchProcess) => number): ByName {
  const sums: Record<string, number> = {};
  for (const one of processes) sums[one.name] = (sums[one.name] ?? 0) + read(one);
  return sums;
}

/** A process that was not there before has used all of its time since. */
function perUnit(after: ByName, before: ByName, count: number): ByName {
  return Object.fromEntries(Object.entries(after).map(([name, us]) => [name, (us - (before[name] ?? 0)) / count]));
}
