/** One container as a process: restarted when it ends, probed while it runs, asked to stop before it is killed. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { type Command, hookOf } from './environment.ts';
import type { Image } from './images.ts';
import { type Container, NotYet, type Probe } from './objects.ts';
import { type ProbeTarget, runProbe } from './probes.ts';

/** As in `containerStatuses[*].state`. */
type ContainerState =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: Termination };

interface Termination {
  readonly exitCode: number;
  readonly signal?: number;
  readonly reason: 'Completed' | 'Error';
  readonly startedAt: string;
  readonly finishedAt: string;
}

export interface ContainerOptions {
  readonly container: Container;
  readonly target: ProbeTarget;
  readonly speed: number;
  /** Undefined when the image cannot be pulled. */
  readonly imageOf: () => Image | undefined;
  /** @throws {NotYet} */
  readonly commandOf: (image: Image) => Command;
  readonly localise: (text: string) => string;
  readonly cwd: string;
  readonly onChange: () => void;
}

/** How often a container looks for what it waits for. */
const waitMs = 100;
const maxBackoffMs = 5000;
const keptCharacters = 1_000_000;
/** What a kubelet leaves for SIGTERM when a hook has used up the grace period. */
const leastGraceMs = 2000;
/** The time that a signal takes through a container runtime. */
const runtimeMs = 50;
const run = promisify(execFile);
const signals: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGSEGV: 11, SIGABRT: 6, SIGINT: 2 };

/** What the API knows of a running container. */
interface Situation {
  readonly state: ContainerState;
  readonly isReady: boolean;
  readonly hasStarted: boolean;
}

export class ContainerProcess {
  readonly #options: ContainerOptions;
  readonly #stopping = new AbortController();
  #situation: Situation = { state: { waiting: { reason: 'ContainerCreating' } }, isReady: false, hasStarted: false };
  #lastState: ContainerState | undefined;
  #restartCount = 0;
  #log = '';
  #child: ChildProcess | undefined;
  #life: Promise<void> | undefined;
  #image: Image | undefined;
  #env: Command['env'] = {};

  constructor(options: ContainerOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.container.name;
  }

  get image(): string {
    return this.#options.container.image;
  }

  get state(): ContainerState {
    return this.#situation.state;
  }

  get lastState(): ContainerState | undefined {
    return this.#lastState;
  }

  get isReady(): boolean {
    return this.#situation.isReady;
  }

  get hasStarted(): boolean {
    return this.#situation.hasStarted;
  }

  get restartCount(): number {
    return this.#restartCount;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Everything that it printed, over all restarts. */
  get log(): string {
    return this.#log;
  }

  start(): void {
    this.#life ??= this.#liveAgain();
  }

  /** Hook, SIGTERM, and SIGKILL after `graceMs`; it is not started again. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    if (this.#child !== undefined) await this.#end(this.#child, graceMs);
    await this.#life;
  }

  #become(next: Partial<Situation>): void {
    const before = JSON.stringify(this.#situation);
    this.#situation = { ...this.#situation, ...next };
    if (JSON.stringify(this.#situation) !== before) this.#options.onChange();
  }

  async #liveAgain(): Promise<void> {
    const { signal } = this.#stopping;
    for (let lives = 0; ; lives++) {
      const command = await this.#prepared();
      if (command === undefined || signal.aborted) return;
      await this.#live(command);
      if (signal.aborted) return;
      this.#lastState = this.state;
      this.#restartCount += 1;
      const message = `back-off restarting failed container ${this.name}`;
      this.#become({ state: { waiting: { reason: 'CrashLoopBackOff', message } } });
      const backoffMs = Math.min(maxBackoffMs, waitMs * 2 ** lives);
      await delay(backoffMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** The command, once everything that it needs is there; undefined when it is no longer wanted. */
  async #prepared(): Promise<Command | undefined> {
    while (!this.#stopping.signal.aborted) {
      try {
        this.#image = this.#options.imageOf();
        if (this.#image !== undefined) return this.#options.commandOf(this.#image);
        throw new NotYet('ErrImagePull', `failed to pull image "${this.image}": not found`);
      } catch (error) {
        if (!(error instanceof NotYet)) throw error;
        this.#become({ state: { waiting: { reason: error.reason, message: error.message } } });
        await delay(waitMs);
      }
    }
    return undefined;
  }

  /** Runs the process to its end. */
  async #live({ file, args, env }: Command): Promise<void> {
    const { container, cwd } = this.#options;
    this.#env = env;
    const started = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = started;
    const collect = (chunk: Buffer): void => {
      this.#log = (this.#log + chunk.toString()).slice(-keptCharacters);
    };
    started.stdout.on('data', collect);
    started.stderr.on('data', collect);
    const startedAt = now();
    const probing = new AbortController();
    this.#become({ state: { running: { startedAt } }, hasStarted: container.startupProbe === undefined });
    void this.#probe(started, probing.signal);
    await once(started, 'close');
    probing.abort();
    this.#child = undefined;
    this.#become({ state: { terminated: terminationOf(started, startedAt) }, isReady: false, hasStarted: false });
  }

  async #probe(started: ChildProcess, signal: AbortSignal): Promise<void> {
    const { startupProbe, livenessProbe, readinessProbe } = this.#options.container;
    const { target, speed } = this.#options;
    if (startupProbe) await this.#hasStarted(startupProbe, started, signal);
    // A process that was asked to stop may be slow; only its readiness still matters.
    const isWanted = AbortSignal.any([signal, this.#stopping.signal]);
    const restartOn = (isGood: boolean): void => this.#restartUnless(isGood, started);
    if (livenessProbe) void runProbe(livenessProbe, target, { speed, signal: isWanted }, restartOn);
    const setReady = (isReady: boolean): void => this.#become({ isReady });
    if (readinessProbe) void runProbe(readinessProbe, target, { speed, signal }, setReady);
    else setReady(true);
  }

  /** Resolves when the start-up probe has succeeded. */
  async #hasStarted(probe: Probe, started: ChildProcess, signal: AbortSignal): Promise<void> {
    const { target, speed } = this.#options;
    const succeeded = Promise.withResolvers<void>();
    const done = new AbortController();
    void runProbe(probe, target, { speed, signal: AbortSignal.any([signal, done.signal]) }, (isGood) => {
      this.#restartUnless(isGood, started);
      if (!isGood) return;
      done.abort();
      succeeded.resolve();
    });
    await succeeded.promise;
    this.#become({ hasStarted: true });
  }

  #restartUnless(isGood: boolean, started: ChildProcess): void {
    if (!isGood && !this.#stopping.signal.aborted) void this.#end(started, leastGraceMs);
  }

  /** Resolves when the process is gone. */
  async #end(process: ChildProcess, graceMs: number): Promise<void> {
    if (process.exitCode !== null || process.signalCode !== null) return;
    const exited = once(process, 'exit');
    const deadlineMs = Date.now() + graceMs;
    if (graceMs > 0) {
      await this.#runHook(graceMs);
      // A kubelet reaches the process through its container runtime, so a signal of the hook is handled before this one.
      await delay(runtimeMs);
      process.kill('SIGTERM');
    }
    const killMs = graceMs === 0 ? 0 : Math.max(leastGraceMs, deadlineMs - Date.now());
    const kill = setTimeout(() => process.kill('SIGKILL'), killMs);
    await exited;
    clearTimeout(kill);
  }

  /** A hook that fails changes nothing: the container is stopped all the same. */
  async #runHook(timeout: number): Promise<void> {
    const { container, localise, cwd } = this.#options;
    const command = container.lifecycle?.preStop?.exec?.command;
    if (command === undefined || this.#image === undefined) return;
    try {
      const [file = '', ...args] = hookOf(this.#image, command, localise);
      const { stdout, stderr } = await run(file, args, { cwd, env: this.#env, timeout });
      this.#log += `preStop: done ${stdout}${stderr}\n`;
    } catch (error) {
      this.#log += `preStop: ${(error as Error).message}\n`;
    }
  }
}

function terminationOf({ exitCode, signalCode }: ChildProcess, startedAt: string): Termination {
  const signal = signalCode === null ? undefined : (signals[signalCode] ?? 0);
  const code = exitCode ?? 128 + (signal ?? 0);
  const reason = code === 0 ? 'Completed' : 'Error';
  return { exitCode: code, reason, startedAt, finishedAt: now(), ...(signal !== undefined && { signal }) };
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
