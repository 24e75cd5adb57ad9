/** A server program of a test: started, watched until it answers, killed at the end. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { eventually } from './eventually.ts';

export interface ServerProcess {
  /** What it wrote last, once it has ended before its time. */
  ended(): string | undefined;
  /** The end of what it wrote. */
  output(): string;
  /** Kills it. */
  stop(): Promise<void>;
}

const startTimeoutMs = 60_000;
const keptCharacters = 65_536;

export function startServer(binary: string, args: readonly string[]): ServerProcess {
  const child: ChildProcess = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-keptCharacters);
  });
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    ended: () => (hasExited() ? `${binary} ended: ${output.slice(-8192)}` : undefined),
    output: () => output,
    stop: async () => {
      if (hasExited()) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Calls `fn` until it works. @throws when the server has ended instead */
export function untilReady<T>(server: ServerProcess, fn: () => Promise<T>): Promise<Exclude<T, false>> {
  return eventually(
    () => {
      const end = server.ended();
      if (end !== undefined) throw new Error(end);
      return fn();
    },
    { timeoutMs: startTimeoutMs, everyMs: 50 },
  );
}
