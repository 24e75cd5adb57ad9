/** A TCP relay on loopback whose connections a test can cut, freeze or slow down. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open now. */
  readonly count: number;
  /** Resets every open connection. */
  cut(): void;
  /** Every open connection stays open and carries nothing more, in either direction; new ones work. */
  freeze(): void;
  /** Delays what clients of open connections send from now on. */
  slow(delayMs: number): void;
  /** Refuses new connections until it is called with false. */
  refuse(isRefusing: boolean): void;
}

/** @param port where it relays to, on 127.0.0.1 */
export async function startTcpProxy(port: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isRefusing = false;
  const server = createServer((client) => {
    if (isRefusing) return void client.resetAndDestroy();
    const upstream = connect(port, '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, // it listens on a port and not on a pipe
    get count() {
      return pairs.size;
    },
    cut: () => {
      for (const [client] of [...pairs]) client.resetAndDestroy();
    },
    freeze: () => {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream).pause();
        upstream.unpipe(client).pause();
      }
    },
    slow: (delayMs) => {
      for (const [client, upstream] of pairs) {
        const relay = (data: Buffer): void => {
          setTimeout(() => upstream.writable && upstream.write(data), delayMs);
        };
        client.unpipe(upstream).on('data', relay).resume();
      }
    },
    refuse: (next) => {
      isRefusing = next;
    },
    [Symbol.asyncDispose]: async () => {
      for (const [client, upstream] of pairs) {
        client.destroy();
        upstream.destroy();
      }
      server.close();
      await once(server, 'close');
    },
  };
}
