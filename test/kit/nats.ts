/** A real nats-server with JetStream for a test: its own port, its own store, killed and restarted as the test likes. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { findNatsServer } from './nats-binary.ts';
import { whyNot } from './program.ts';

export interface NatsOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Further command line arguments. */
  readonly args?: readonly string[];
  /** Content of a configuration file. Port and store are given by the command line. */
  readonly config?: string;
}

export interface TestNats extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  readonly storeDir: string;
  /** Starts it again on the same port and store; nothing when it runs. */
  start(): Promise<void>;
  /** Ends it in an orderly way and keeps its store. */
  stop(): Promise<void>;
  /** Ends it with a signal and keeps its store. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  restart(): Promise<void>;
}

/** A server that accepts connections. @throws when none can be found or started */
export async function startNats(options: NatsOptions = {}): Promise<TestNats> {
  const binary = await findNatsServer();
  const port = options.port ?? (await freePort());
  const storeDir = await mkdtemp(join(tmpdir(), 'hydrogen-nats-'));
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', storeDir, ...(options.args ?? [])];
  if (options.config !== undefined) {
    const path = join(storeDir, 'nats.conf');
    await writeFile(path, options.config);
    args.push('-c', path);
  }
  let child: ChildProcess | undefined;
  let output = '';

  async function start(): Promise<void> {
    if (child !== undefined) return;
    const started = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    output = '';
    started.stderr?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-65_536);
    });
    await eventually(async () => {
      if (hasExited(started)) throw new Error(`nats-server ended: ${output}`);
      await knock(port);
      if (!output.includes('Server is ready')) throw new Error(`not ready yet: ${output}`);
    });
  }

  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const ending = child;
    child = undefined;
    if (ending === undefined || hasExited(ending)) return;
    const exited = once(ending, 'exit');
    ending.kill(signal);
    await exited;
  }

  const stop = (): Promise<void> => kill('SIGTERM');
  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return child?.pid;
    },
    storeDir,
    start,
    stop,
    kill,
    restart: async () => {
      await stop();
      await start();
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      await rm(storeDir, { recursive: true, force: true });
    },
  };
}

/** Why NATS tests cannot run here, or false. Use it as `test(..., { skip: await natsOrSkip() }, ...)`. */
export function natsOrSkip(): Promise<string | false> {
  const advice = 'install nats-server >= 2.10 (https://nats.io/download) or set NATS_SERVER to its path';
  return whyNot('NATS', advice, findNatsServer);
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

async function knock(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'data');
  } finally {
    socket.destroy();
  }
}
