/**
 * An HTTP/1.1 server that costs little CPU, so that the systems under test get the cores. It knows what their clients
 * send: requests with a content-length, one at a time on each connection. Bodies are Latin-1.
 */

import { createServer, type Server, type Socket } from 'node:net';

export interface CheapRequest {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

export interface CheapAnswer {
  readonly type: string;
  readonly body: string;
  /** Milliseconds until it is written. */
  readonly afterMs?: number;
}

const endOfHead = '\r\n\r\n';
const contentLength = /\r\ncontent-length: *(\d+)/i;
const chunked = /\r\ntransfer-encoding:/i;

/** Listens on 127.0.0.1. `answer` may throw: then the request is answered with 500 and what it threw. */
export function listenCheaply(port: number, answer: (request: CheapRequest) => CheapAnswer): Server {
  return createServer({ noDelay: true }, (socket) => new Exchange(socket, answer)).listen(port, '127.0.0.1', 4_096);
}

class Exchange {
  readonly #socket: Socket;
  readonly #answer: (request: CheapRequest) => CheapAnswer;
  #received = '';
  /** Length of the head of the request that is being read, and of the request in all; 0 until its head is complete. */
  #headLength = 0;
  #length = 0;

  constructor(socket: Socket, answer: (request: CheapRequest) => CheapAnswer) {
    this.#socket = socket;
    this.#answer = answer;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#read(chunk));
    socket.on('error', () => socket.destroy()); // the client went away: nobody is left to answer
  }

  #read(chunk: string): void {
    this.#received += chunk;
    for (;;) {
      if (this.#length === 0 && !this.#readHead()) return;
      if (this.#received.length < this.#length) return;
      const head = this.#received.slice(0, this.#headLength);
      const body = this.#received.slice(this.#headLength, this.#length);
      this.#received = this.#received.slice(this.#length);
      this.#length = 0;
      const [method = '', path = ''] = head.slice(0, head.indexOf('\r\n')).split(' ');
      this.#handle({ method, path, body });
    }
  }

  #readHead(): boolean {
    const end = this.#received.indexOf(endOfHead);
    if (end < 0) return false;
    const head = this.#received.slice(0, end);
    if (chunked.test(head)) {
      this.#socket.end('HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\n\r\n');
      return false;
    }
    this.#headLength = end + endOfHead.length;
    this.#length = this.#headLength + Number(contentLength.exec(head)?.[1] ?? 0);
    return true;
  }

  #handle(request: CheapRequest): void {
    try {
      const answer = this.#answer(request);
      if (answer.afterMs === undefined) this.#write('200 OK', answer);
      else setTimeout(() => this.#write('200 OK', answer), answer.afterMs);
    } catch (err) {
      this.#write('500 Internal Server Error', { type: 'text/plain', body: String(err) });
    }
  }

  #write(status: string, { type, body }: CheapAnswer): void {
    if (this.#socket.destroyed) return;
    const head = `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}`;
    this.#socket.write(head + endOfHead + body, 'latin1');
  }
}
