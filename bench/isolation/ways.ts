/** Seven ways to stall the messages of others, each with the documents that it needs. */

import type { WebSocket } from 'ws';
import type { DurablePath } from '../paths/durable.ts';
import { openSockets } from './healthy.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface Way {
  readonly title: string;
  /** Healthy clients. */
  readonly connections: number;
  readonly group?: Fields;
  readonly delivery?: Fields;
  /** Rules beside that of healthy messages: a pattern and the path at the destination. */
  readonly rules: readonly (readonly [pattern: string, path: string])[];
  readonly processors?: number;
  /** Begins to stall; disposal ends it. */
  begin(path: DurablePath): Promise<Disposable>;
}

const ordered = { ordering: 'PerConnection' };
/** Bytes that the flooding client may keep for a socket that takes nothing. */
const maxBufferedBytes = 65_536;

export const ways: readonly Way[] = [
  {
    title: 'destination answers 503, 3,000 messages',
    connections: 50,
    rules: [['^bad', 'fail']],
    begin: ({ url }) => burst(url, 30, 100, 'bad'),
  },
  {
    title: 'burst of 2,000 to a destination of 100 ms',
    connections: 50,
    rules: [['^slow', 'slow']],
    begin: ({ url }) => burst(url, 1, 2_000, 'slow'),
  },
  {
    title: 'destination hangs, 5,000 messages',
    connections: 50,
    rules: [['^hang', 'hang']],
    begin: ({ url }) => burst(url, 1, 5_000, 'hang'),
  },
  {
    title: 'flood of 1-byte messages by one client',
    connections: 50,
    rules: [['^x$', '']],
    begin: ({ url }) => flood(url),
  },
  {
    title: 'dead letters full, 3,000 that match no rule',
    connections: 50,
    group: { deadLetter: { maxBytes: '1Ki' } },
    rules: [],
    begin: ({ url }) => burst(url, 30, 100, 'dead'),
  },
  {
    title: 'PerConnection, one message that always fails',
    connections: 200,
    delivery: ordered,
    rules: [['^bad', 'fail']],
    begin: ({ url }) => burst(url, 1, 1, 'bad'),
  },
  {
    title: 'PerConnection, one of two processors frozen',
    connections: 200,
    delivery: ordered,
    rules: [],
    processors: 2,
    begin: async ({ processes }) => freeze(processes.find(({ name }) => name === 'mproc')?.pid),
  },
];

async function burst(url: string, connections: number, each: number, text: string): Promise<Disposable> {
  const sockets = await openSockets(url, connections);
  for (const socket of sockets) for (let count = 0; count < each; count += 1) socket.send(text);
  return ending(sockets);
}

/** Sends as fast as it is read. */
async function flood(url: string): Promise<Disposable> {
  const sockets = await openSockets(url, 1);
  const timer = setInterval(() => {
    for (const socket of sockets) while (socket.bufferedAmount < maxBufferedBytes && isOpen(socket)) socket.send('x');
  }, 1);
  const end = ending(sockets);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      end[Symbol.dispose]();
    },
  };
}

function freeze(pid: number | undefined): Disposable {
  if (pid === undefined) throw new Error('there is no processor');
  process.kill(pid, 'SIGSTOP');
  return { [Symbol.dispose]: () => void process.kill(pid, 'SIGCONT') };
}

function ending(sockets: readonly WebSocket[]): Disposable {
  return {
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.terminate();
    },
  };
}

function isOpen(socket: WebSocket): boolean {
  return socket.readyState === socket.OPEN;
}
