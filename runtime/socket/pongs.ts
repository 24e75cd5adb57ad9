/**
 * Answers a client's pings. RFC 6455 section 5.5.3 lets the newest one stand for those before it, so while a pong waits
 * to be written nothing is kept but the newest ping: a burst costs a client's connection one frame, however long it is.
 */

import type { WebSocket } from 'ws';

export class Pongs {
  readonly #socket: WebSocket;
  #isWriting = false;
  #newest: Buffer | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** @param data of the ping; copied when it has to wait */
  answer(data: Buffer): void {
    if (this.#isWriting) this.#newest = Buffer.from(data);
    else this.#write(data);
  }

  #write(data: Buffer): void {
    this.#isWriting = true;
    this.#socket.pong(data, false, () => {
      this.#isWriting = false;
      const next = this.#newest;
      this.#newest = undefined;
      if (next !== undefined && this.#socket.readyState === this.#socket.OPEN) this.#write(next);
    });
  }
}
