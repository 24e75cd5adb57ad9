/** An upgrade request on its way to a connection, or to its refusal. Knows when its client leaves. */

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Connection } from './connection.ts';

export class Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /** The client's. */
  readonly remoteAddress: string;
  readonly startedAtMs = performance.now();
  connection: Connection | undefined;
  /** `registered`: it can be pushed to and counts as a connection. `connected`: its connect hook admitted it. */
  stage: 'checking' | 'registered' | 'connected' = 'checking';
  readonly #left = new AbortController();
  readonly #onLeft = (): void => this.#left.abort();

  constructor(request: IncomingMessage, socket: Duplex, head: Buffer, remoteAddress: string) {
    this.request = request;
    this.socket = socket;
    this.head = head;
    this.remoteAddress = remoteAddress;
    socket.on('error', () => socket.destroy());
    socket.once('end', this.#onLeft).once('close', this.#onLeft);
  }

  /** Aborts when the client leaves before it is answered. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  get path(): string {
    return (this.request.url ?? '').split('?', 1)[0] ?? '';
  }

  /** Call it once it is answered. */
  answered(): void {
    this.socket.off('end', this.#onLeft).off('close', this.#onLeft);
  }
}
