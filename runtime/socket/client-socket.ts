/**
 * A client's WebSocket whose close frames are written by its connection alone. ws answers a client's close frame, and
 * fails a connection after a protocol error, by calling `close` of the WebSocket. That call only asks the connection
 * here, since what the client sent before has to be stored before the client may take it for delivered.
 *
 * Relied upon, and held by test/runtime/socket/client-socket.test.ts: ws (8.x, `receiverOnConclude` and
 * `receiverOnError`) calls `close` as a method, which its option `WebSocket` makes ours; a read of a paused stream emits
 * `data` (documented by Node), to which ws listens; and the receiver of ws keeps an unfinished message in `_buffers` and
 * `_fragments`, and in `_mask` a view of the memory that the frame's first bytes were read into, up to 64 KiB.
 */

import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';

/** What is used of the receiver of ws, a Writable. */
interface ReceiverParts {
  _write(chunk: Buffer, encoding: string, done: () => void): void;
  _buffers: unknown[];
  _fragments: unknown[];
  _mask: unknown;
}

export class ClientSocket extends WebSocket {
  #transport: Duplex | undefined;
  #onAsked: (code: number | undefined, reason: string) => void = () => {};

  /**
   * @param transport the socket that was upgraded
   * @param onAsked called once ws wants a close frame written: after the client's, with its code (undefined: it had
   *   none) and reason, or after a protocol error, whose `error` event has been emitted by then
   */
  attach(transport: Duplex, onAsked: (code: number | undefined, reason: string) => void): void {
    this.#transport = transport;
    this.#onAsked = onAsked;
  }

  override close(code?: number, reason?: string | Buffer): void {
    process.nextTick(() => this.#onAsked(code, String(reason ?? '')));
  }

  /** Writes the close frame, or after it ends the connection, as `close` of ws does. */
  finish(code?: number, reason?: string): void {
    super.close(code, reason);
  }

  /**
   * Frees what ws keeps of an unfinished message, and parses no more. A socket that is destroyed stays in memory until the
   * event loop comes around, which can read from thousands of others before; and then ws parses what was read of it.
   */
  forgetUnfinished(): void {
    const { _receiver: receiver } = this as unknown as { _receiver?: ReceiverParts };
    if (receiver === undefined) return;
    receiver._write = (_chunk, _encoding, done) => done();
    receiver._buffers = [];
    receiver._fragments = [];
    receiver._mask = undefined;
  }

  /** Parses what the process has read while the socket was paused. */
  parseRead(): void {
    this.#transport?.read();
  }
}
