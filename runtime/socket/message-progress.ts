/**
 * What a client has sent of a message that is not finished, and since when: ws keeps it, and says nothing about it until
 * the message is complete. Counted by the bytes that the socket has read since the last message, without the control
 * frames among them. What follows a message in the same read does not count, which is 64 KiB at most.
 */

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Of a control frame of a client, in addition to its data: two bytes and the mask. */
const controlFrameBytes = 6;
/** What ws keeps for a fragment of a few bytes, divided by the bytes that it takes on the wire. */
const fragmentFactor = 24;
/** What ws keeps for as many fragments as a message may have. */
const maxFragmentsBytes = 262_144;

export class MessageProgress {
  readonly #socket: Socket;
  #doneBytes: number;
  /** When it was first seen that a message was not finished, on the monotonic clock. */
  #unfinishedSinceMs: number | undefined;

  constructor(transport: Duplex) {
    this.#socket = transport as Socket;
    this.#doneBytes = this.#socket.bytesRead;
  }

  /** What is kept for the unfinished message and for what was read and is not parsed, at most. */
  get keptBytes(): number {
    const bytes = this.#unfinishedBytes;
    return bytes + Math.min(bytes * fragmentFactor, maxFragmentsBytes) + this.#socket.readableLength;
  }

  messageDone(): void {
    this.#doneBytes = this.#socket.bytesRead;
    this.#unfinishedSinceMs = undefined;
  }

  /** @param bytes of data of the control frame */
  controlDone(bytes: number): void {
    this.#doneBytes += bytes + controlFrameBytes;
  }

  /** Call it about once a second. @returns milliseconds for which the same message has been unfinished; 0 for none */
  unfinishedMs(nowMs: number): number {
    if (this.#unfinishedBytes === 0) this.#unfinishedSinceMs = undefined;
    else this.#unfinishedSinceMs ??= nowMs;
    return this.#unfinishedSinceMs === undefined ? 0 : nowMs - this.#unfinishedSinceMs;
  }

  /** The time during which nothing was read does not count. */
  pardon(): void {
    this.#unfinishedSinceMs = undefined;
  }

  get #unfinishedBytes(): number {
    return Math.max(0, this.#socket.bytesRead - this.#doneBytes);
  }
}
