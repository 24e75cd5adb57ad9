/** Free ports for real processes: below the range that outgoing connections take theirs from. */

import { connect, createServer } from 'node:net';

/** A base `b` with `b`, `b + 1` and `b + 1010` free: clients, management and probes of a gateway. */
export async function freePortBase(): Promise<number> {
  for (;;) {
    const base = 10_000 + Math.floor(Math.random() * 18_000);
    const free = await Promise.all([base, base + 1, base + 1010].map(isFree));
    if (free.every(Boolean)) return base;
  }
}

/** This many different free ports. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePortBase());
  return [...ports];
}

/** True when something accepts connections there, on 127.0.0.1. */
export function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
