/** A real nats-server with JetStream for a test: its own port, its own store, killed and restarted as the test likes. */

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNatsServer } from './nats-binary.ts';
import { freePorts } from './ports.ts';
import { whyNot } from './program.ts';
import { type ServerProcess, startServer, untilReady } from './server-process.ts';

export interface NatsOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Further command line arguments. */
  readonly args?: readonly string[];
  /** @default true */
  readonly hasJetStream?: boolean;
  /** Content of a configuration file. Port and store are given by the command line. */
  readonly config?: string;
}

export interface TestNats extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  readonly storeDir: string;
  /** The end of its log since it was started last. */
  log(): string;
  /** Starts it again on the same port and store; nothing when it runs. */
  start(): Promise<void>;
  /** Stops it with SIGTERM and keeps its store. */
  stop(): Promise<void>;
  /** Ends it with a signal and keeps its store. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  restart(): Promise<void>;
}

/** A server that accepts connections. @throws when none can be found or started */
export async function startNats({
  port: wanted,
  args: more = [],
  config,
  hasJetStream = true,
}: NatsOptions = {}): Promise<TestNats> {
  const binary = await findNatsServer();
  const [port = 0] = wanted === undefined ? await freePorts(1) : [wanted];
  await using stack = new AsyncDisposableStack();
  const storeDir = await mkdtemp(join(tmpdir(), 'hydrogen-nats-'));
  stack.defer(() => rm(storeDir, { recursive: true, force: true }));
  const args = ['-a', '127.0.0.1', '-p', `${port}`, ...(hasJetStream ? ['-js', '-sd', storeDir] : []), ...more];
  if (config !== undefined) {
    const path = join(storeDir, 'nats.conf');
    await writeFile(path, config);
    args.push('-c', path);
  }
  let server: ServerProcess | undefined;

  async function start(): Promise<void> {
    if (server !== undefined) return;
    const started = startServer(binary, args);
    server = started;
    await untilReady(started, async () => {
      await knock(port);
      if (!started.output().includes('Server is ready')) throw new Error(`not ready yet: ${started.output()}`);
    });
  }

  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const ending = server;
    server = undefined;
    await ending?.stop(signal);
  }

  const stop = (): Promise<void> => kill('SIGTERM');
  stack.defer(() => kill());
  await start();
  const parts = stack.move();
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return server?.pid;
    },
    storeDir,
    log: () => server?.output() ?? '',
    start,
    stop,
    kill,
    restart: async () => {
      await stop();
      await start();
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** Why NATS tests cannot run here, or false. Use it as `test(..., { skip: await natsOrSkip() }, ...)`. */
export function natsOrSkip(): Promise<string | false> {
  const advice = 'install nats-server >= 2.10 (https://nats.io/download) or set NATS_SERVER to its path';
  return whyNot('NATS', advice, findNatsServer);
}

async function knock(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'data');
  } finally {
    socket.destroy();
  }
}
