/** POSTs over kept connections at little CPU: one request at a time on each, answers with a content-length. */

import { connect, type Socket } from 'node:net';

export interface PostTarget {
  readonly host: string;
  readonly port: number;
}

export interface PostAnswer {
  readonly status: number;
  readonly body: string;
}

const endOfHead = '\r\n\r\n';

export class PostConnection implements Disposable {
  readonly #socket: Socket;
  readonly #host: string;
  #received = '';
  #waiting: PromiseWithResolvers<PostAnswer> | undefined;

  constructor({ host, port }: PostTarget) {
    this.#host = `${host}:${port}`;
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (chunk: string) => this.#read(chunk));
    this.#socket.on('error', (err) => this.#fail(err));
    this.#socket.on('close', () => this.#fail(new Error(`${this.#host} closed the connection`)));
  }

  /** @throws when the connection ends before the answer */
  post(path: string, headers: Readonly<Record<string, string>>, body: string): Promise<PostAnswer> {
    this.#waiting = Promise.withResolvers();
    let head = `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-length: ${body.length}\r\n`;
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
    this.#socket.write(`${head}\r\n${body}`, 'latin1');
    return this.#waiting.promise;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #read(chunk: string): void {
    this.#received += chunk;
    const end = this.#received.indexOf(endOfHead);
    if (end < 0) return;
    const head = this.#received.slice(0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    const status = Number(head.slice(9, 12));
    if (length === undefined && status !== 204) {
      this.#fail(new Error(`an answer without length: ${head}`));
      return;
    }
    const whole = end + endOfHead.length + Number(length ?? 0);
    if (this.#received.length < whole) return;
    const body = this.#received.slice(end + endOfHead.length, whole);
    this.#received = this.#received.slice(whole);
    this.#waiting?.resolve({ status, body });
  }

  #fail(err: Error): void {
    this.#waiting?.reject(err);
  }
}
