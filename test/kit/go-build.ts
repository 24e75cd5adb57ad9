/** Runs the Go compiler: says how far it is and how long it may still take, and ends it only when it makes no progress. */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import './orphans.ts';
import { everyHalfMinute, fail, say } from './program.ts';

/** Without a line of output for so long a command counts as stuck. Linking Kubernetes prints none for minutes. */
const stuckMs = 20 * 60_000;
const longestOutput = 20_000;

export interface BusyOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Called with each line of its error output. */
  readonly onLine?: (line: string) => void;
  /** The longest silence. @default twenty minutes */
  readonly stuckMs?: number;
}

/** The standard output of a command, however long it takes while it prints. @throws with the end of its error output */
export async function runWhileBusy(file: string, args: readonly string[], options: BusyOptions): Promise<string> {
  const silenceMs = options.stuckMs ?? stuckMs;
  const child = spawn(file, args, { cwd: options.cwd, env: options.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, errors, isStuck] = ['', '', false];
  const timer = setTimeout(() => {
    isStuck = true;
    child.kill('SIGKILL');
  }, silenceMs);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    timer.refresh();
    output += text;
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    timer.refresh();
    errors = `${errors}${line}\n`.slice(-longestOutput);
    options.onLine?.(line);
  });
  try {
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
    if (isStuck) fail(`no progress for ${Math.round(silenceMs / 60_000)} minutes`);
    if (code !== 0) fail(`${file} ${args[0]} failed: ${errors.trim()}`);
    return output;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs `go build` or `go install` in `folder`, where `go install` puts its result. There can be no `-C` among `args`: it
 * would have to be the first flag, and `-v` is.
 * @param what for the person who waits
 */
export async function go(folder: string, what: string, ...args: readonly string[]): Promise<void> {
  const options = { cwd: folder, env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0' } };
  const [command = '', ...rest] = args;
  say(what);
  const startedMs = Date.now();
  let [done, total] = [0, 0];
  using _progress = everyHalfMinute(() => say(`${what}: ${progressOf(done, total, Date.now() - startedMs)}`));
  total = await countPackages(rest, options).catch(() => 0);
  const onLine = (line: string): void => {
    if (!/\s/.test(line)) done++;
  };
  await runWhileBusy('go', [command, '-v', ...rest], { ...options, onLine });
}

/** The number of packages that must be compiled; 0 when it is not known. */
async function countPackages(args: readonly string[], options: BusyOptions): Promise<number> {
  if (args.some((arg) => arg.includes('@'))) return 0;
  const at = args.indexOf('-o');
  const flags = at === -1 ? args : args.toSpliced(at, 2);
  const list = await runWhileBusy(
    'go',
    ['list', '-deps', '-f', '{{if .Stale}}{{.ImportPath}}{{end}}', ...flags],
    options,
  );
  return list.split('\n').filter((line) => line !== '').length;
}

/** `900 of 2600 packages after 5 min, about 10 min left`. */
export function progressOf(done: number, total: number, elapsedMs: number): string {
  const minutes = (ms: number): string =>
    ms < 90_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
  if (total === 0 || done === 0) return `${done} packages after ${minutes(elapsedMs)}`;
  if (done >= total) return `${done} packages after ${minutes(elapsedMs)}, linking`;
  const left = minutes((elapsedMs / done) * (total - done));
  return `${done} of ${total} packages after ${minutes(elapsedMs)}, about ${left} left`;
}
