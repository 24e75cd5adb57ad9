/** Memory and CPU time of the processes of a run, from /proc. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import type { Cast } from './cast.ts';
import type { Recorder } from './recorder.ts';

const idleWindowMs = 5_000;

export class UsageMeter {
  readonly #cast: Cast;
  readonly #recorder: Recorder;
  readonly #peaks = new Map<string, number>();
  readonly #ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

  constructor(cast: Cast, recorder: Recorder) {
    this.#cast = cast;
    this.#recorder = recorder;
  }

  /** Looks at the memory of each process now. */
  sample(): void {
    for (const [name, pid] of this.#pids()) {
      const bytes = residentBytes(pid);
      if (bytes > (this.#peaks.get(name) ?? 0)) this.#peaks.set(name, bytes);
    }
  }

  /** Measures CPU time while nothing is to be done, and notes it with the highest memory that was seen. */
  async measureIdle(): Promise<void> {
    this.sample();
    const before = this.#pids().map(([name, pid]) => [name, pid, this.#cpuSeconds(pid)] as const);
    await pass(idleWindowMs);
    for (const [process, pid, secondsBefore] of before) {
      const idleCpu = (this.#cpuSeconds(pid) - secondsBefore) / (idleWindowMs / 1000);
      const residentBytes = this.#peaks.get(process) ?? 0;
      this.#recorder.note({ kind: 'measured', atMs: this.#recorder.nowMs(), process, residentBytes, idleCpu });
    }
  }

  #pids(): [name: string, pid: number][] {
    const servers = this.#cast.nats.nodes.map(({ pid }, index) => [`node-${index}`, pid] as const);
    const seats = this.#cast.seats.map(({ name, process }) => [name, process?.pid] as const);
    return [...servers, ...seats].flatMap(([name, pid]): [string, number][] =>
      pid === undefined ? [] : [[name, pid]],
    );
  }

  /** Fields 14 and 15 of /proc/<pid>/stat, after the command, which may contain spaces. */
  #cpuSeconds(pid: number): number {
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / this.#ticksPerSecond;
  }
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1_024;
}

/** Empty for a process that has just ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
