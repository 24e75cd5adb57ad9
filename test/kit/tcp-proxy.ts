/** A TCP relay on loopback whose connections a test can cut, half-close, freeze, swallow or slow down. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open now. */
  readonly count: number;
  /** Resets every open connection. */
  cut(): void;
  /** Ends every open connection towards its client, which can still send. */
  halfClose(): void;
  /** Every open connection stays open and carries nothing more, in either direction; new ones work. */
  freeze(): void;
  /** Every connection, open or new, carries nothing until it is called with false; then what was sent goes on. */
  swallow(isSwallowing: boolean): void;
  /** Delays what clients send from now on, on open and new connections; 0 ends it. */
  slow(delayMs: number): void;
  /** Refuses new connections until it is called with false. */
  refuse(isRefusing: boolean): void;
}

/** @param port where it relays to, on 127.0.0.1 */
export async function startTcpProxy(port: number): Promise<TcpProxy> {
  const relays = new Set<Relay>();
  let isRefusing = false;
  let isSwallowing = false;
  let delayMs = 0;
  const server = createServer((client) => {
    if (isRefusing) return void client.resetAndDestroy();
    const relay = new Relay(client, connect(port, '127.0.0.1'), () => relays.delete(relay));
    relay.delayMs = delayMs;
    if (isSwallowing) relay.pause();
    relays.add(relay);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, // it listens on a port and not on a pipe
    get count() {
      return relays.size;
    },
    cut: () => {
      for (const { client } of [...relays]) client.resetAndDestroy();
    },
    halfClose: () => {
      for (const { client } of [...relays]) client.end();
    },
    freeze: () => {
      for (const relay of relays) relay.pause();
    },
    swallow: (next) => {
      isSwallowing = next;
      for (const relay of relays) next ? relay.pause() : relay.resume();
    },
    slow: (next) => {
      delayMs = next;
      for (const relay of relays) relay.delayMs = next;
    },
    refuse: (next) => {
      isRefusing = next;
    },
    [Symbol.asyncDispose]: async () => {
      for (const relay of [...relays]) relay.end();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One connection: what one side sends is written to the other, in its order. */
class Relay {
  readonly client: Socket;
  /** Delay of what the client sends. */
  delayMs = 0;
  readonly #upstream: Socket;
  readonly #onEnd: () => void;
  #isPaused = false;

  constructor(client: Socket, upstream: Socket, onEnd: () => void) {
    this.client = client;
    this.#upstream = upstream;
    this.#onEnd = onEnd;
    for (const socket of [client, upstream]) socket.on('error', () => this.end()).on('close', () => this.end());
    upstream.on('data', (data) => this.#write(upstream, client, data));
    const delayed: Buffer[] = [];
    client.on('data', (data) => {
      if (this.delayMs === 0 && delayed.length === 0) return this.#write(client, upstream, data);
      delayed.push(data);
      // Each timer takes the oldest, so that a shorter delay does not overtake.
      setTimeout(() => this.#write(client, upstream, delayed.shift() ?? data), this.delayMs);
    });
  }

  pause(): void {
    this.#isPaused = true;
    this.client.pause();
    this.#upstream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.client.resume();
    this.#upstream.resume();
  }

  end(): void {
    this.client.destroy();
    this.#upstream.destroy();
    this.#onEnd();
  }

  #write(from: Socket, to: Socket, data: Buffer): void {
    if (!to.writable || to.write(data)) return;
    from.pause();
    to.once('drain', () => {
      if (!this.#isPaused) from.resume();
    });
  }
}
