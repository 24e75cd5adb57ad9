/** A server program of a test: started, watched until it answers, ended with the test or with this process. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { eventually } from './eventually.ts';
import './orphans.ts';

export interface ServerProcess extends AsyncDisposable {
  readonly pid: number | undefined;
  /** What it wrote last, if it has ended. */
  ended(): string | undefined;
  /** The end of what it wrote. */
  output(): string;
  /** Resolves when it is gone. @param signal default SIGKILL */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const startTimeoutMs = 60_000;
const keptCharacters = 65_536;
const hasEnded = Symbol('has ended');

export function startServer(
  binary: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ServerProcess {
  const child: ChildProcess = spawn(binary, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-keptCharacters);
  });
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const stop: ServerProcess['stop'] = async (signal = 'SIGKILL') => {
    if (hasExited()) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  return {
    pid: child.pid,
    ended: () => (hasExited() ? `${binary} ended: ${output.slice(-8192)}` : undefined),
    output: () => output,
    stop,
    [Symbol.asyncDispose]: () => stop(),
  };
}

/** Calls `fn` until it succeeds, for a minute. @throws at once when the server has ended */
export async function untilReady<T>(server: ServerProcess, fn: () => Promise<T>): Promise<Exclude<T, false>> {
  const poll = { timeoutMs: startTimeoutMs, everyMs: 50 };
  const value = await eventually<T | typeof hasEnded>(() => (server.ended() === undefined ? fn() : hasEnded), poll);
  if (value === hasEnded) throw new Error(server.ended());
  return value as Exclude<T, false>; // `eventually` never resolves with false
}
