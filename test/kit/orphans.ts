/**
 * Imported for its effect by everything that starts processes: no child outlives this process, whether it ends by
 * itself, by an error, by `process.exit` or by a signal. Only SIGKILL and a crash of Node leave children behind; against
 * those see time-limit.ts.
 */

import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { constants } from 'node:os';

const running = new Set<ChildProcess>();

// Node announces every child that it starts, whoever starts it.
subscribe('child_process', (message) => {
  const child = (message as { readonly process: ChildProcess }).process; // as documented for this channel
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => child.pid === undefined && running.delete(child));
});

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => {
    // Somebody else who listens ends this process in an orderly way.
    if (process.listenerCount(signal) === 0) process.exit(128 + constants.signals[signal]);
  });
}

/** Process ids of the children that run. */
export function runningChildren(): number[] {
  return [...running].flatMap(({ pid }) => pid ?? []);
}
