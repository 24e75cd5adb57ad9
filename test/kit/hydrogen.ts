/** The `hydrogen` command as real processes, with configuration files of their own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { entryPoint } from '../../infra/image.ts';
import { gatewayDocument, groupDocument, processorDocument, type TestDocument, yaml } from './documents.ts';
import { eventually } from './eventually.ts';
import './orphans.ts';
import { freePortBase } from './ports.ts';

export const root = join(import.meta.dirname, '../..');
const command = join(root, 'cli/hydrogen.js');
const startTimeoutMs = 30_000;

export interface HydrogenProcess extends AsyncDisposable {
  readonly pid: number;
  /** Everything it printed so far, both streams. */
  output(): string;
  /** Its log lines. */
  lines(): Record<string, unknown>[];
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts `hydrogen ...args` as the image does. Disposal kills it. @param file the command; default: this tree's
 * @param maxDescriptors limit of open files; default: that of this process
 */
export function startHydrogen(
  args: readonly string[],
  env: Record<string, string> = {},
  file: string = command,
  maxDescriptors?: number,
): HydrogenProcess {
  const limited = maxDescriptors === undefined ? [] : ['-c', `ulimit -n ${maxDescriptors}; exec "$0" "$@"`];
  const [program = '', ...rest] = [...(maxDescriptors === undefined ? [] : ['sh', ...limited]), process.execPath];
  const child: ChildProcess = spawn(program, [...rest, ...entryPoint.flags, file, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  const exited = once(child, 'close').then(() => child.exitCode ?? (child.signalCode as NodeJS.Signals));
  return {
    pid: child.pid ?? 0,
    output: () => output,
    lines: () =>
      output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line)),
    exited,
    kill: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}

export interface GroupOptions {
  readonly natsUrl: string;
  readonly name?: string;
  /** Further fields of its spec. */
  readonly spec?: Record<string, unknown>;
}

export interface ConfiguredProcess extends HydrogenProcess {
  readonly file: string;
  readonly probesUrl: string;
  isReady(): Promise<boolean>;
  untilReady(): Promise<void>;
}

export interface GatewayProcess extends ConfiguredProcess {
  url(path: string): string;
  readonly managementUrl: string;
}

export interface MemberOptions {
  readonly group: GroupOptions;
  readonly name?: string;
  readonly spec: Record<string, unknown>;
  /** Do not wait until it is ready. */
  readonly isLazy?: boolean;
  readonly env?: Record<string, string>;
  /** The `hydrogen.js` to run. @default this tree's */
  readonly command?: string;
}

export async function startGatewayProcess(options: MemberOptions): Promise<GatewayProcess> {
  const base = await freePortBase();
  const args = (file: string): string[] => [
    'gateway',
    '--config',
    file,
    '--port-base',
    `${base}`,
    '--host',
    '127.0.0.1',
  ];
  const configured = await startConfigured(gatewayDocument, options, base + 1010, args);
  return Object.assign(configured, {
    url: (path: string) => `ws://127.0.0.1:${base}${path}`,
    managementUrl: `http://127.0.0.1:${base + 1}`,
  });
}

export async function startMprocProcess(options: MemberOptions): Promise<ConfiguredProcess> {
  const port = (await freePortBase()) + 1010;
  const args = (file: string): string[] => [
    'mproc',
    '--config',
    file,
    '--probe-port',
    `${port}`,
    '--host',
    '127.0.0.1',
  ];
  return startConfigured(processorDocument, options, port, args);
}

async function startConfigured(
  documentOf: typeof gatewayDocument | typeof processorDocument,
  options: MemberOptions,
  probePort: number,
  args: (file: string) => string[],
): Promise<ConfiguredProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-e2e-'));
  const file = join(directory, 'hydrogen.yaml');
  const { name: group = 'e2e', natsUrl, spec: groupSpec = {} } = options.group;
  const member: TestDocument = documentOf(options.spec, { name: options.name ?? 'e2e', group });
  const nats = { servers: [natsUrl] };
  await writeFile(file, yaml(groupDocument({ nats, ...groupSpec }, { name: group }), member));
  const started = startHydrogen(args(file), options.env, options.command);
  const probesUrl = `http://127.0.0.1:${probePort}`;
  const isReady = (): Promise<boolean> => fetch(`${probesUrl}/readyz`).then(({ status }) => status === 200);
  const untilReady = async (): Promise<void> => {
    const ready = eventually(() => isReady().catch(() => false), { timeoutMs: startTimeoutMs, everyMs: 50 });
    const ended = started.exited.then((code) => {
      throw new Error(`${member.kind} ended with ${code}:\n${started.output()}`);
    });
    await Promise.race([ready, ended]).catch((cause) => {
      throw new Error(`not ready:\n${started.output()}`, { cause });
    });
  };
  const configured = {
    ...started,
    file,
    probesUrl,
    isReady,
    untilReady,
    async [Symbol.asyncDispose]() {
      await started[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
  if (options.isLazy !== true) {
    await untilReady().catch(async (error) => {
      await configured[Symbol.asyncDispose]();
      throw error;
    });
  }
  return configured;
}
