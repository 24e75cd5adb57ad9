/**
 * The sending side of a connection: what waits for the client, in the socket's queue or for the connection to open,
 * within `maxBufferedBytes`. Order of calls is order on the wire.
 */

import type { WebSocket } from 'ws';

/** `sent`: written to the socket. `accepted`: kept until the connection opens. `full`: it would exceed `maxBufferedBytes`. */
export type SendResult = 'sent' | 'accepted' | 'gone' | 'full';

/**
 * What a queued message costs in memory in addition to its data, so that small ones can't grow a queue without limit.
 */
const frameOverheadBytes = 320;

export class Outbox {
  #socket: WebSocket | undefined;
  #waiting: { data: Uint8Array; isBinary: boolean }[] = [];
  #waitingBytes = 0;
  /** Frames handed to the socket and not yet to the operating system. */
  #frames = 0;

  /** Bytes kept for the client, including the overhead of keeping them. */
  get bufferedBytes(): number {
    if (this.#socket === undefined) return this.#waitingBytes;
    return this.#socket.bufferedAmount + this.#frames * frameOverheadBytes;
  }

  /** Sends what waited for the socket. */
  open(socket: WebSocket): void {
    this.#socket = socket;
    for (const { data, isBinary } of this.#waiting) this.#write(socket, data, isBinary);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Resolves when the data was handed to the operating system, or could not be. */
  send(data: Uint8Array, isBinary: boolean, maxBufferedBytes: number): Promise<SendResult> | SendResult {
    if (this.#isFull(data, maxBufferedBytes)) return 'full';
    const socket = this.#socket;
    if (socket === undefined) return this.#keep(data, isBinary);
    return new Promise((resolve) => {
      this.#write(socket, data, isBinary, (error) => resolve(error ? 'gone' : 'sent'));
    });
  }

  /** As `send`, for data that nobody waits for. Returns false when it is full. */
  offer(data: Uint8Array, isBinary: boolean, maxBufferedBytes: number): boolean {
    if (this.#isFull(data, maxBufferedBytes)) return false;
    if (this.#socket === undefined) this.#keep(data, isBinary);
    else this.#write(this.#socket, data, isBinary);
    return true;
  }

  #isFull(data: Uint8Array, maxBufferedBytes: number): boolean {
    return this.bufferedBytes + data.byteLength > maxBufferedBytes;
  }

  #keep(data: Uint8Array, isBinary: boolean): 'accepted' {
    this.#waiting.push({ data, isBinary });
    this.#waitingBytes += data.byteLength + frameOverheadBytes;
    return 'accepted';
  }

  #write(socket: WebSocket, data: Uint8Array, isBinary: boolean, done?: (error?: Error | null) => void): void {
    this.#frames += 1;
    socket.send(data, { binary: isBinary }, (error) => {
      this.#frames -= 1;
      done?.(error);
    });
  }
}
