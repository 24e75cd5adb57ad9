/** A line typed into a shell in the root of the project, without what npm puts into the PATH of its scripts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { root } from './hydrogen.ts';
import './orphans.ts';

export interface Shell extends AsyncDisposable {
  /** Everything that was printed so far, on both streams. */
  output(): string;
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
}

/** Starts the line. Disposal kills it, and everything that it has started. @param cwd default: the root */
export function startShell(line: string, cwd: string = root, env: Record<string, string> = {}): Shell {
  const PATH = process.env.PATH?.split(':')
    .filter((folder) => !folder.includes('node_modules'))
    .join(':');
  const child = spawn('sh', ['-c', line], {
    cwd,
    env: { ...process.env, PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const exited = once(child, 'close').then(() => child.exitCode ?? (child.signalCode as NodeJS.Signals));
  return {
    output: () => output,
    exited,
    async [Symbol.asyncDispose]() {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid, 'SIGKILL');
      await exited;
    },
  };
}
