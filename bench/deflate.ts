/**
 * What permessage-deflate costs a server that has nothing but ws: memory of connections that have each exchanged one
 * message, and CPU of an echo. Each mode has a server process of its own.
 *
 *   node bench/deflate.ts [--connections 1000] [--echoes 20000]
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer } from 'ws';

const noTakeover = { serverNoContextTakeover: true, clientNoContextTakeover: true };
const modes: Readonly<Record<string, PerMessageDeflateOptions | false>> = {
  off: false,
  'contexts kept': { threshold: 0 },
  'contexts kept, window 10, level 3': {
    threshold: 0,
    serverMaxWindowBits: 10,
    clientMaxWindowBits: 10,
    zlibDeflateOptions: { memLevel: 3 },
  },
  'no context takeover': { threshold: 0, ...noTakeover },
};

/** 1 KB of JSON, as a chat sends. */
const text = JSON.stringify(
  Array.from({ length: 8 }, (_, index) => ({
    id: `message-${index * 7919}`,
    user: `user-${index}`,
    text: 'See you at the station at eight, platform 4.',
    sentAt: '2026-11-27T12:00:00Z',
  })),
);

interface Usage {
  readonly residentKb: number;
  readonly cpuMs: number;
}

async function serve(mode: string): Promise<void> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: modes[mode] ?? false });
  server.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))));
  await once(server, 'listening');
  process.on('message', () => {
    globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    process.send?.({ residentKb: process.memoryUsage.rss() / 1024, cpuMs: (user + system) / 1000 } satisfies Usage);
  });
  process.send?.((server.address() as AddressInfo).port);
}

async function usageOf(server: ChildProcess): Promise<Usage> {
  server.send('usage');
  const [usage] = (await once(server, 'message')) as [Usage];
  return usage;
}

async function open(port: number, deflates: boolean): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: deflates && { threshold: 0 } });
  await once(socket, 'open');
  return socket;
}

async function echo(socket: WebSocket): Promise<void> {
  socket.send(text);
  await once(socket, 'message');
}

async function measureMode(mode: string, connections: number, echoes: number): Promise<string> {
  const server = fork(import.meta.filename, ['--serve', mode], {
    execArgv: ['--expose-gc', '--max-semi-space-size=16'],
  });
  const [port] = (await once(server, 'message')) as [number];
  const deflates = modes[mode] !== false;
  const sockets: WebSocket[] = [];
  for (let index = 0; index < 10; index++) sockets.push(await open(port, deflates));
  await Promise.all(sockets.map(echo));
  const before = await usageOf(server);
  while (sockets.length < connections + 10) sockets.push(await open(port, deflates));
  for (let at = 10; at < sockets.length; at += 50) await Promise.all(sockets.slice(at, at + 50).map(echo));
  const full = await usageOf(server);
  const busy = sockets.slice(0, 10);
  await Promise.all(
    busy.map(async (socket) => {
      for (let count = 0; count < echoes / busy.length; count++) await echo(socket);
    }),
  );
  const after = await usageOf(server);
  for (const socket of sockets) socket.terminate();
  server.kill();
  const kb = (full.residentKb - before.residentKb) / connections;
  const microseconds = ((after.cpuMs - full.cpuMs) * 1000) / echoes;
  return `${mode.padEnd(36)} ${kb.toFixed(1).padStart(7)} kB a connection ${microseconds.toFixed(0).padStart(6)} us an echo`;
}

const { values } = parseArgs({
  options: {
    serve: { type: 'string' },
    connections: { type: 'string', default: '1000' },
    echoes: { type: 'string', default: '20000' },
  },
});
if (values.serve !== undefined) await serve(values.serve);
else {
  console.log(`${text.length} bytes of JSON`);
  for (const mode of Object.keys(modes)) {
    console.log(await measureMode(mode, Number(values.connections), Number(values.echoes)));
  }
}
