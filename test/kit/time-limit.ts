/**
 * Preloaded into every test file by `npm test` (`--import`). `node --test` limits the time of a test, but not that of a
 * file: an open handle, a loop or a set-up that never settles would hold up the run for ever. Here a file has a limit, a
 * shorter one for what is left open after its last test, and an error before its first test ends it at once. Its
 * children go with it (orphans.ts), and the reason is printed with the name of the file.
 */

import { relative } from 'node:path';
import { after, beforeEach } from 'node:test';
import { isMainThread, Worker } from 'node:worker_threads';

import { runningChildren } from './orphans.ts';

const fileLimitMs = Number(process.env.TEST_FILE_LIMIT_MS ?? 20 * 60_000);
const exitLimitMs = Number(process.env.TEST_EXIT_LIMIT_MS ?? 60_000);
/** How long the process may take to end by SIGTERM: the loop of a test that is stuck in a computation never sees it. */
const termLimitMs = 5000;
/** Children that the worker can kill when this thread is stuck. */
const maxChildren = 256;

// The runner itself is preloaded too, and so are workers of tests.
if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined)
  limitTime(relative(process.cwd(), process.argv[1] ?? ''));

function limitTime(file: string): void {
  const children = new Int32Array(new SharedArrayBuffer(4 * maxChildren));
  startWatchdog(file, children);
  setInterval(() => children.fill(0).set(runningChildren().slice(0, maxChildren)), 1000).unref();

  let hasBegun = false;
  beforeEach(() => {
    hasBegun = true;
  });
  after(() => {
    setTimeout(() => {
      const open = [...new Set(process.getActiveResourcesInfo())].join(', ');
      end(`${file} does not end ${exitLimitMs / 1000} s after its last test; still open: ${open}`);
    }, exitLimitMs).unref();
  });
  // The test runner would throw the error again from its own listener, and Node would end without its exit handlers.
  const onError = (error: unknown): void => {
    if (hasBegun) return;
    end(`${file} failed before its first test: ${error instanceof Error ? error.stack : String(error)}`);
  };
  process.prependListener('uncaughtException', onError);
  process.prependListener('unhandledRejection', onError);
}

/** A thread of its own, since a loop in this one would keep a timer from firing. */
function startWatchdog(file: string, children: Int32Array): void {
  const reason = `test kit: ${file} takes longer than ${fileLimitMs / 1000} s and is ended\n`;
  const worker = new Worker(
    `const { children, fileLimitMs, termLimitMs, reason } = require('node:worker_threads').workerData;
     const never = new Int32Array(new SharedArrayBuffer(4));
     Atomics.wait(never, 0, 0, fileLimitMs);
     require('node:fs').writeSync(2, reason);
     process.kill(process.pid, 'SIGTERM');
     Atomics.wait(never, 0, 0, termLimitMs);
     for (const pid of children) {
       try {
         if (pid > 0) process.kill(pid, 'SIGKILL');
       } catch {}
     }
     process.kill(process.pid, 'SIGKILL');`,
    { eval: true, execArgv: [], workerData: { children, fileLimitMs, termLimitMs, reason } },
  );
  worker.unref();
}

function end(reason: string): never {
  process.stderr.write(`test kit: ${reason}\n`);
  process.exit(1);
}
