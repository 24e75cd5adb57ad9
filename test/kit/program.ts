/**
 * Programs that tests need and a machine may lack: found where they are installed, or else installed into the project's
 * cache without touching the system, by one process at a time.
 */

import { chmod, cp, mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { platform } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A place where a program may be: its name in messages, and a function that resolves with a path or rejects with a reason. */
export type Place = readonly [name: string, find: () => Promise<string>];

/**
 * Installs a program: `get` works in `folder`, which is removed afterwards, and resolves with the path of the
 * binary, or of a folder of binaries that belong together.
 */
export type Installer = readonly [name: string, get: (folder: string) => Promise<string>];

/** A program, or a folder of several, and where it comes from. */
export interface Program {
  /** File name in the cache. */
  readonly name: string;
  /** What is looked for, in messages. */
  readonly wanted: string;
  /** Rejects when the binary at `path` cannot be used. */
  check(path: string): Promise<void>;
  /** Where it may be already, the preferred place first. */
  readonly places: readonly Place[];
  /** How to install it, the preferred method first. */
  readonly installers: readonly Installer[];
}

/** Folder of the project for installed programs. */
export const cache = join(import.meta.dirname, '../../.cache/bin');

/** How often a person who waits reads a line. */
export const progressMs = 30_000;
/** The holder of a lock touches it with every line of progress; one that was not touched for so long is void. */
const lockMs = 5 * 60_000;
const lockPollMs = 250;

/** With `never`, only what is installed already is used: `npm run test:quick` waits for no build. */
const installVariable = 'TEST_INSTALL';

/** Path of a usable binary that is there already, for programs whose installation only some lanes wait for. @throws as `obtain` */
export async function findInstalled(program: Program): Promise<string> {
  const failures: string[] = [];
  const found = await firstUsable(program, [...program.places, cachedPlace(program)], failures);
  return found ?? fail(`no ${program.wanted}: ${failures.join('; ')}`);
}

/** Path of a usable binary. @throws Error that says what was tried and why it failed */
export async function obtain(program: Program): Promise<string> {
  const failures: string[] = [];
  const cached = cachedPlace(program);
  const target = targetOf(program);
  const found = await firstUsable(program, [...program.places, cached], failures);
  if (found !== undefined) return found;
  if (process.env[installVariable] === 'never') {
    throw new Error(`no ${program.wanted} is installed, and ${installVariable} is never: npm test installs it`);
  }
  await mkdir(cache, { recursive: true });
  const unlock = await lock(program.name);
  try {
    const installed = program.installers.map<Place>(([name, get]) => [name, () => bring(program, target, get)]);
    // Another process may have finished while this one waited.
    const brought = await firstUsable(program, [cached, ...installed], failures);
    if (brought !== undefined) return brought;
  } finally {
    await unlock();
  }
  throw new Error(`no ${program.wanted}: ${failures.join('; ')}`);
}

/**
 * Why tests that need `program` cannot run here, or false. With `CI` set there is no skipping: it throws.
 * Use it as `test(..., { skip: await whyNot(...) }, ...)`.
 */
export async function whyNot(program: string, advice: string, find: () => Promise<unknown>): Promise<string | false> {
  try {
    await find();
    return false;
  } catch (err) {
    const reason = err instanceof Error ? err.message : String(err);
    if (process.env.CI) throw new Error(`under CI no test is skipped, but ${reason}; ${advice}`, { cause: err });
    process.stderr.write(`\nSKIPPING EVERY TEST THAT NEEDS ${program.toUpperCase()}: ${reason}; ${advice}\n\n`);
    return `no ${program}; ${advice}`;
  }
}

/** Prints a line for the person who waits. */
export function say(what: string): void {
  process.stderr.write(`test kit: ${what}\n`);
}

/** @throws Error with `reason` */
export function fail(reason: string): never {
  throw new Error(reason);
}

function targetOf({ name }: Program): string {
  return join(cache, platform() === 'win32' ? `${name}.exe` : name);
}

function cachedPlace(program: Program): Place {
  return ['cache', async () => targetOf(program)];
}

async function firstUsable(
  program: Program,
  places: readonly Place[],
  failures: string[],
): Promise<string | undefined> {
  for (const [name, find] of places) {
    try {
      const path = await find();
      await program.check(path);
      return path;
    } catch (err) {
      const failure = `${name}: ${err instanceof Error ? err.message.split('\n')[0] : String(err)}`;
      if (!failures.includes(failure)) failures.push(failure);
    }
  }
  return undefined;
}

// Only programs that pass their check reach the cache.
async function bring(program: Program, target: string, get: Installer[1]): Promise<string> {
  const folder = join(cache, `work-${program.name}-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    const path = await get(folder);
    await chmod(path, 0o755);
    await program.check(path);
    await cp(path, `${target}.${process.pid}`, { recursive: true, verbatimSymlinks: true });
    // An unusable one may be there, and a rename does not replace a folder.
    await rm(target, { recursive: true, force: true });
    await rename(`${target}.${process.pid}`, target);
    return target;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Calls `tick` now and then, with the seconds so far, until the result is disposed. */
export function everyHalfMinute(tick: (seconds: number) => void): Disposable {
  const startedMs = Date.now();
  const ticker = setInterval(() => tick(Math.round((Date.now() - startedMs) / 1000)), progressMs);
  return { [Symbol.dispose]: () => clearInterval(ticker) };
}

// One installation at a time over all test processes.
async function lock(name: string): Promise<() => Promise<void>> {
  const path = join(cache, `${name}.lock`);
  using _progress = everyHalfMinute((seconds) => say(`still waiting for ${path}: ${seconds} s so far`));
  for (let waits = 0; ; waits++) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(`${process.pid}\n`);
      await file.close();
      const touching = everyHalfMinute(() => void utimes(path, new Date(), new Date()).catch(() => undefined));
      return async () => {
        touching[Symbol.dispose]();
        await rm(path, { force: true });
      };
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err;
      if (waits === 0) say(`waiting for another process to get ${name} (${path})`);
      if (await isVoid(path)) await rm(path, { force: true });
      await delay(lockPollMs);
    }
  }
}

/** True for the lock of a process that is gone, or whose id has passed to a process that does not touch it. */
async function isVoid(path: string): Promise<boolean> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    if (Date.now() - mtimeMs > lockMs) return true;
    if (text !== '') process.kill(Number(text), 0);
    return false;
  } catch (err) {
    return (err as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
