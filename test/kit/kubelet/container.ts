/** One container as a process: started again when it ends, probed while it runs, told to stop before it is killed. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { type Command, hookOf } from './environment.ts';
import type { Image } from './images.ts';
import { type Container, NotYet } from './objects.ts';
import { type ProbeTarget, runProbe } from './probes.ts';

/** As in `containerStatuses[*].state`. */
export type ContainerState =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: Termination };

export interface Termination {
  readonly exitCode: number;
  readonly signal?: number;
  readonly reason: 'Completed' | 'Error';
  readonly startedAt: string;
  readonly finishedAt: string;
}

export interface ContainerProcess {
  readonly name: string;
  readonly image: string;
  readonly state: ContainerState;
  readonly lastState: ContainerState | undefined;
  readonly isReady: boolean;
  readonly hasStarted: boolean;
  readonly restartCount: number;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** What it printed, in all of its lives. */
  readonly log: string;
  start(): void;
  /** Hook, SIGTERM, and SIGKILL after `graceMs`; it is not started again. */
  stop(graceMs: number): Promise<void>;
}

export interface ContainerOptions {
  readonly container: Container;
  readonly target: ProbeTarget;
  readonly speed: number;
  /** Undefined: it cannot be pulled. */
  readonly imageOf: () => Image | undefined;
  /** @throws {NotYet} */
  readonly commandOf: (image: Image) => Command;
  readonly localise: (text: string) => string;
  readonly cwd: string;
  readonly onChange: () => void;
}

/** How often it is looked whether what a container waits for is there. */
const waitMs = 100;
const maxBackoffMs = 5000;
const keptCharacters = 1_000_000;
/** What a kubelet leaves for SIGTERM when a hook has used up the grace period. */
const leastGraceMs = 2000;
const run = promisify(execFile);
const signals: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGSEGV: 11, SIGABRT: 6, SIGINT: 2 };

export function createContainer(options: ContainerOptions): ContainerProcess {
  const { container, target, speed, onChange } = options;
  const stopping = new AbortController();
  let state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  let lastState: ContainerState | undefined;
  let isReady = false;
  let hasStarted = false;
  let restartCount = 0;
  let log = '';
  let child: ChildProcess | undefined;
  let life: Promise<void> | undefined;
  let image: Image | undefined;
  let env: Command['env'] = {};

  function become(next: Partial<{ state: ContainerState; isReady: boolean; hasStarted: boolean }>): void {
    const before = JSON.stringify([state, isReady, hasStarted]);
    ({ state = state, isReady = isReady, hasStarted = hasStarted } = next);
    if (JSON.stringify([state, isReady, hasStarted]) !== before) onChange();
  }

  /** The command, once everything that it needs is there; undefined when it is not wanted any more. */
  async function prepared(): Promise<Command | undefined> {
    while (!stopping.signal.aborted) {
      try {
        image = options.imageOf();
        if (image !== undefined) return options.commandOf(image);
        throw new NotYet('ErrImagePull', `failed to pull image "${container.image}": not found`);
      } catch (error) {
        if (!(error instanceof NotYet)) throw error;
        become({ state: { waiting: { reason: error.reason, message: error.message } } });
        await delay(waitMs);
      }
    }
    return undefined;
  }

  async function live({ file, args, env: variables }: Command): Promise<void> {
    env = variables;
    const started = spawn(file, args, { cwd: options.cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    const collect = (chunk: Buffer): void => {
      log = (log + chunk.toString()).slice(-keptCharacters);
    };
    started.stdout.on('data', collect);
    started.stderr.on('data', collect);
    const startedAt = now();
    const probing = new AbortController();
    become({ state: { running: { startedAt } }, hasStarted: container.startupProbe === undefined });
    void probe(started, probing.signal);
    await once(started, 'close');
    probing.abort();
    child = undefined;
    const { exitCode, signalCode } = started;
    const signal = signalCode === null ? undefined : (signals[signalCode] ?? 0);
    const code = exitCode ?? 128 + (signal ?? 0);
    const reason = code === 0 ? 'Completed' : 'Error';
    const termination: Termination = { exitCode: code, reason, startedAt, finishedAt: now() };
    become({
      state: { terminated: { ...termination, ...(signal !== undefined && { signal }) } },
      isReady: false,
      hasStarted: false,
    });
  }

  async function probe(started: ChildProcess, signal: AbortSignal): Promise<void> {
    const { startupProbe, livenessProbe, readinessProbe } = container;
    const endsWell = Promise.withResolvers<void>();
    const restartOn = (isGood: boolean): void => {
      if (!isGood && !stopping.signal.aborted) void end(started, leastGraceMs);
    };
    if (startupProbe) {
      const done = new AbortController();
      void runProbe(startupProbe, target, { speed, signal: AbortSignal.any([signal, done.signal]) }, (isGood) => {
        restartOn(isGood);
        if (!isGood) return;
        done.abort();
        endsWell.resolve();
      });
      await endsWell.promise;
      become({ hasStarted: true });
    }
    // Who is asked to stop may be slow; only its readiness still matters.
    const isWanted = AbortSignal.any([signal, stopping.signal]);
    if (livenessProbe) void runProbe(livenessProbe, target, { speed, signal: isWanted }, restartOn);
    if (readinessProbe)
      void runProbe(readinessProbe, target, { speed, signal }, (isGood) => become({ isReady: isGood }));
    else become({ isReady: true });
  }

  async function liveAgain(): Promise<void> {
    for (let lives = 0; ; lives++) {
      const command = await prepared();
      if (command === undefined || stopping.signal.aborted) return;
      await live(command);
      if (stopping.signal.aborted) return;
      lastState = state;
      restartCount += 1;
      const message = `back-off restarting failed container ${container.name}`;
      become({ state: { waiting: { reason: 'CrashLoopBackOff', message } } });
      const backoffMs = Math.min(maxBackoffMs, waitMs * 2 ** lives);
      await delay(backoffMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  /** Resolves when the process is gone. */
  async function end(process: ChildProcess, graceMs: number): Promise<void> {
    if (process.exitCode !== null || process.signalCode !== null) return;
    const exited = once(process, 'exit');
    const deadlineMs = Date.now() + graceMs;
    if (graceMs > 0) {
      await hook(graceMs);
      process.kill('SIGTERM');
    }
    const kill = setTimeout(
      () => process.kill('SIGKILL'),
      graceMs === 0 ? 0 : Math.max(leastGraceMs, deadlineMs - Date.now()),
    );
    await exited;
    clearTimeout(kill);
  }

  /** A hook that fails changes nothing: the container is told to stop all the same. */
  async function hook(timeoutMs: number): Promise<void> {
    const command = container.lifecycle?.preStop?.exec?.command;
    if (command === undefined || image === undefined) return;
    try {
      const [file = '', ...args] = hookOf(image, command, options.localise);
      const { stdout, stderr } = await run(file, args, { cwd: options.cwd, env, timeout: timeoutMs });
      log += `preStop: done ${stdout}${stderr}\n`;
    } catch (error) {
      log += `preStop: ${(error as Error).message}\n`;
    }
  }

  return {
    name: container.name,
    image: container.image,
    get state() {
      return state;
    },
    get lastState() {
      return lastState;
    },
    get isReady() {
      return isReady;
    },
    get hasStarted() {
      return hasStarted;
    },
    get restartCount() {
      return restartCount;
    },
    get pid() {
      return child?.pid;
    },
    get log() {
      return log;
    },
    start: () => {
      life ??= liveAgain();
    },
    stop: async (graceMs) => {
      stopping.abort();
      if (child !== undefined) await end(child, graceMs);
      await life;
    },
  };
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
