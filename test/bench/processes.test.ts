import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { eventually } from '../kit/eventually.ts';

const run = promisify(execFile);
const module = join(import.meta.dirname, '../../bench/processes.ts');

/** Starts a shell that starts `sleep`, prints what is watched, and ends without disposing of anything. */
const script = `
  const { startBenchProcess, watchDescendants } = await import(${JSON.stringify(module)});
  const shell = startBenchProcess('shell', 'sh', ['-c', 'sleep 600 & wait']);
  for (;;) {
    const { processes: [child] } = watchDescendants(shell);
    if (child?.name === 'sleep') {
      console.log(JSON.stringify({ pid: child.pid, name: child.name, bytes: child.memoryBytes().resident }));
      process.exit(0);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }`;

test('what a process has started is measured by name, and ends with the benchmark', async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  const { pid, name, bytes } = JSON.parse(stdout);
  assert.equal(name, 'sleep');
  assert.ok(bytes > 0);
  await eventually(() => !isRunning(pid));
});

/** False for one that has ended and was not waited for. */
function isRunning(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !readFileSync(path, 'utf8').includes(') Z ');
}
