/**
 * A WebSocket client that costs little CPU, so that the systems under test get the cores: one socket, frames of
 * frames.ts, no compression, and the handshake of RFC 6455 with its answer checked.
 */

import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { clientFrame, FrameReader, opcodes } from './frames.ts';

/** Any key will do, and one for all spares the hashing. */
const key = Buffer.from('hydrogen-bench-1').toString('base64');
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
/** All sockets read into the same bytes: each read is handled before the next. */
const readBytes = Buffer.alloc(65_536);
const endOfHead = '\r\n\r\n';

export interface LoadSocketHandlers {
  /** A text message, in Latin-1. */
  onText(text: string): void;
  /** Once, however the connection ended. @param code 1006 without a close frame */
  onClose(code: number): void;
}

export class LoadSocket {
  readonly #socket: Socket;
  readonly #handlers: LoadSocketHandlers;
  readonly #reader = new FrameReader((opcode, payload) => this.#handle(opcode, payload));
  readonly #opening: PromiseWithResolvers<void> = Promise.withResolvers();
  #head: string | undefined = '';
  #closeCode = 1006;

  private constructor(url: URL, handlers: LoadSocketHandlers) {
    this.#handlers = handlers;
    this.#opening.promise.catch(() => undefined); // whoever opens it has its own handler
    this.#socket = connect({
      host: url.hostname,
      port: Number(url.port),
      noDelay: true,
      onread: { buffer: readBytes, callback: (length) => this.#read(readBytes.subarray(0, length)) },
    });
    this.#socket.on('connect', () => this.#socket.write(upgradeRequest(url)));
    this.#socket.on('error', (err) => this.#opening.reject(err));
    this.#socket.on('close', () => {
      this.#opening.reject(new Error(`${url}: the connection ended before it was open`));
      this.#handlers.onClose(this.#closeCode);
    });
  }

  /** Resolves once the upgrade is answered with 101. @throws for any other answer */
  static async open(url: string, handlers: LoadSocketHandlers): Promise<LoadSocket> {
    const socket = new LoadSocket(new URL(url), handlers);
    await socket.#opening.promise;
    return socket;
  }

  sendText(text: string): void {
    this.#socket.write(clientFrame(opcodes.text, text));
  }

  /** Sends a close frame; `onClose` follows with the code of the answer. */
  close(code = 1000): void {
    this.#socket.write(clientFrame(opcodes.close, String.fromCharCode(code >> 8, code & 0xff)));
  }

  /** Ends the connection at once, by a reset: no port is left waiting. */
  destroy(): void {
    this.#socket.resetAndDestroy();
  }

  /** False after an error, which ends reading. */
  #read(chunk: Buffer): boolean {
    try {
      if (this.#head === undefined) this.#reader.read(chunk);
      else this.#readHead(chunk);
      return true;
    } catch (err) {
      this.#socket.destroy(err as Error);
      return false;
    }
  }

  #readHead(chunk: Buffer): void {
    const head = this.#head + chunk.toString('latin1');
    const end = head.indexOf(endOfHead);
    this.#head = head;
    if (end < 0) return;
    if (!head.startsWith('HTTP/1.1 101 ') || !head.includes(accept)) {
      throw new Error(`the upgrade was answered with: ${head.slice(0, 300)}`);
    }
    this.#head = undefined;
    this.#opening.resolve();
    const rest = head.slice(end + endOfHead.length);
    if (rest !== '') this.#reader.read(Buffer.from(rest, 'latin1'));
  }

  #handle(opcode: number, payload: string): void {
    if (opcode === opcodes.text) this.#handlers.onText(payload);
    else if (opcode === opcodes.ping) this.#socket.write(clientFrame(opcodes.pong, payload));
    else if (opcode === opcodes.close) {
      if (payload.length >= 2) this.#closeCode = (payload.charCodeAt(0) << 8) | payload.charCodeAt(1);
      this.#socket.end(clientFrame(opcodes.close, payload));
    }
  }
}

function upgradeRequest(url: URL): string {
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${key}`,
    'Sec-WebSocket-Version: 13',
  ];
  return lines.join('\r\n') + endOfHead;
}
