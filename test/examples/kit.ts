/**
 * Runs an example as its reader does: `hydrogen dev` and the example's own service as processes, WebSocket clients
 * against them. Ports are the one thing that changes, so that runs never meet: the documents are copied with theirs
 * replaced. When a test fails, the output of the processes is added to its report.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Client } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import '../kit/orphans.ts';
import { freePortBase } from '../kit/ports.ts';

export const root = join(import.meta.dirname, '../..');
const hydrogen = join(root, 'cli/hydrogen.js');

/** Enough for a cold start on a busy machine. */
const startTimeoutMs = 30_000;
const stopTimeoutMs = 10_000;
const arrivalTimeoutMs = 15_000;

export interface Process extends AsyncDisposable {
  /** Everything it printed so far, stdout and stderr. */
  output(): string;
  /** Resolves when a printed line matches. @throws when it exits first, or too much time passes. */
  prints(pattern: RegExp): Promise<void>;
}

/** Starts a process; disposal sends SIGTERM and, to one that ignores it, SIGKILL, and waits until it is gone. */
export function startProcess(
  t: TestContext,
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Process {
  const name = [command, ...args].join(' ').replaceAll(`${root}/`, '');
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.on('error', (err) => collect(Buffer.from(`${err}\n`)));
  t.after(() => {
    const { passed } = t as TestContext & { passed: boolean }; // missing in the types of Node 24
    if (!passed) t.diagnostic(`${name} (exit ${child.exitCode ?? child.signalCode}) printed:\n${output}`);
  });
  return {
    output: () => output,
    async prints(pattern) {
      await eventually(
        () => {
          if (output.split('\n').some((line) => pattern.test(line)) || hasExited(child)) return;
          throw new Error(`${name} has not printed ${pattern} yet`);
        },
        { timeoutMs: startTimeoutMs },
      );
      if (hasExited(child)) throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}:\n${output}`);
    },
    [Symbol.asyncDispose]: () => stop(child),
  };
}

export interface App extends AsyncDisposable {
  /** `ws://127.0.0.1:<port>` of the first gateway. */
  readonly clientUrl: string;
  /** `http://127.0.0.1:<port>` of its management API. */
  readonly managementUrl: string;
  /** The port that took the place of the one in the documents. */
  readonly destinationPort: number;
}

/**
 * `hydrogen dev` with a copy of the documents; resolves when it is ready.
 * @param documents path below examples/
 * @param destinationPort the port in the documents that is replaced by a free one
 * @param env added to the environment
 */
export async function startApp(
  t: TestContext,
  documents: string,
  destinationPort?: number,
  env: Record<string, string> = {},
): Promise<App> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-example-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const freeDestinationPort = await freePortBase();
  const copy = join(directory, 'app.yaml');
  const text = await readFile(join(root, 'examples', documents), 'utf8');
  await writeFile(copy, text.replaceAll(`127.0.0.1:${destinationPort}/`, `127.0.0.1:${freeDestinationPort}/`));

  const portBase = await freePortBase();
  const args = [hydrogen, 'dev', '-f', copy, '--port-base', `${portBase}`];
  const dev = stack.use(startProcess(t, process.execPath, args, env));
  await dev.prints(/^ready\b/);
  const kept = stack.move();
  return {
    clientUrl: `ws://127.0.0.1:${portBase}`,
    managementUrl: `http://127.0.0.1:${portBase + 1}`,
    destinationPort: freeDestinationPort,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Resolves with the first text, of all that the client received, that matches. @throws when none arrives in time */
export async function receives({ texts }: Client, pattern: RegExp): Promise<string> {
  return eventually(
    () => {
      const match = texts.find((text) => pattern.test(text));
      if (match === undefined) throw new Error(`received ${JSON.stringify(texts)}, and nothing like ${pattern}`);
      return match;
    },
    { timeoutMs: arrivalTimeoutMs },
  );
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasExited(child)) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await exit;
  clearTimeout(killer);
}
