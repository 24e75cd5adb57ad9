/** The processes of a benchmark: starting, stopping, CPU time and memory. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import '../test/kit/orphans.ts';

const startTimeoutMs = 60_000;
const stopTimeoutMs = 15_000;

/** Clock ticks per second, the unit of CPU time in /proc. */
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

export interface BenchProcess extends AsyncDisposable {
  readonly name: string;
  readonly pid: number | undefined;
  /** User and system time since its start, all threads. Resolution: one clock tick, usually 10 ms. */
  cpuMicroseconds(): number;
  /** Resident memory now, and its peak. */
  memoryBytes(): { readonly resident: number; readonly peak: number };
  /** Resolves when the URL answers 200. @throws when the process ends first or too much time passes. */
  answers(url: string): Promise<void>;
}

/** Starts a process; disposal sends SIGTERM, then SIGKILL. If it ends earlier, the end of its output is printed. */
export function startBenchProcess(
  name: string,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): BenchProcess {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keepTail = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-8192);
  };
  child.stdout.on('data', keepTail);
  child.stderr.on('data', keepTail);
  child.on('error', (err) => keepTail(Buffer.from(`${err}\n`)));
  let isStopping = false;
  child.on('close', (code, signal) => {
    if (!isStopping) console.error(`${name} ended with ${code ?? signal}:\n${output}`);
  });
  return {
    name,
    pid: child.pid,
    cpuMicroseconds: () => {
      if (child.pid === undefined || hasExited(child)) throw new Error(`${name} is not running`);
      return cpuMicrosecondsOf(child.pid);
    },
    memoryBytes: () => {
      if (child.pid === undefined || hasExited(child)) throw new Error(`${name} is not running`);
      return memoryBytesOf(child.pid);
    },
    async answers(url) {
      const deadline = Date.now() + startTimeoutMs;
      for (;;) {
        if (hasExited(child)) throw new Error(`${name} ended before ${url} answered`);
        const status = await fetch(url).then(
          (response) => response.status,
          () => undefined,
        );
        if (status === 200) return;
        if (Date.now() > deadline) throw new Error(`${name}: ${url} answers ${status ?? 'nothing'}:\n${output}`);
        await sleep(100);
      }
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      if (hasExited(child)) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      await exit;
      clearTimeout(killer);
    },
  };
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

export interface Descendants extends Disposable {
  readonly processes: readonly BenchProcess[];
}

/**
 * The processes that `parent` has started so far, and theirs, by the names of their programs. They should end with it; if
 * this process ends first, they are killed. Disposal ends the watch, and not the processes.
 */
export function watchDescendants(parent: BenchProcess): Descendants {
  const processes = descendantsOf(parent);
  const killAll = (): void => {
    for (const { pid } of processes) kill(pid);
  };
  process.once('exit', killAll);
  return { processes, [Symbol.dispose]: () => void process.off('exit', killAll) };
}

function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err; // it has ended by itself
  }
}

function descendantsOf(parent: BenchProcess): BenchProcess[] {
  const { pid } = parent;
  if (pid === undefined) return [];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return children.flatMap((child) => {
    const one = watched(child, parent);
    return [one, ...descendantsOf(one)];
  });
}

function watched(pid: number, parent: BenchProcess): BenchProcess {
  return {
    name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim(),
    pid,
    cpuMicroseconds: () => cpuMicrosecondsOf(pid),
    memoryBytes: () => memoryBytesOf(pid),
    answers: (url) => parent.answers(url),
    [Symbol.asyncDispose]: () => parent[Symbol.asyncDispose](),
  };
}

function memoryBytesOf(pid: number): { readonly resident: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { resident: bytes('VmRSS'), peak: bytes('VmHWM') };
}

/** Fields 14 and 15 of /proc/<pid>/stat; the second field, the command, may itself contain spaces and parentheses. */
export function cpuMicrosecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6;
}
