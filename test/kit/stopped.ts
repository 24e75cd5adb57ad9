/** Processes that a signal has stopped. */

import { existsSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.ts';

/** Stops a process with SIGSTOP and resolves once it has stopped; at once where there is no /proc. */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  if (existsSync('/proc/self/stat')) await eventually(() => / T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
}
