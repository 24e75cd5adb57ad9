/** A real WebSocket client that records what it receives. */

import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import { eventually } from './eventually.ts';

export interface Refusal {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: { readonly code?: string; readonly message?: string };
}

export interface Client extends AsyncDisposable {
  readonly socket: WebSocket;
  readonly texts: string[];
  readonly binaries: Buffer[];
  send(data: string | Buffer): void;
  /** The next text that was not returned yet. */
  nextText(timeoutMs?: number): Promise<string>;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<{ code: number; reason: string }>;
}

export interface ConnectOptions extends ClientOptions {
  readonly subprotocols?: string[];
}

/** @throws when the upgrade is refused; see `refusal` */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Client> {
  const { subprotocols = [], ...rest } = options;
  const socket = new WebSocket(url, subprotocols, rest);
  const texts: string[] = [];
  const binaries: Buffer[] = [];
  let taken = 0;
  socket.on('message', (data, isBinary) => {
    if (isBinary) binaries.push(data as Buffer);
    else texts.push(data.toString());
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(socket, 'open');
  socket.on('error', () => {});
  return {
    socket,
    texts,
    binaries,
    closed,
    send: (data) => socket.send(data),
    async nextText(timeoutMs = 5_000) {
      await eventually(() => texts.length > taken, { timeoutMs });
      taken += 1;
      return texts[taken - 1] as string;
    },
    async [Symbol.asyncDispose]() {
      socket.terminate();
      if (socket.readyState !== WebSocket.CLOSED) await closed;
    },
  };
}

/** The HTTP answer of an upgrade that must be refused. @throws when it is admitted */
export function refusal(url: string, options: ConnectOptions = {}): Promise<Refusal> {
  const { subprotocols = [], ...rest } = options;
  const socket = new WebSocket(url, subprotocols, rest);
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      socket.terminate();
      reject(new Error('the upgrade was admitted'));
    });
    socket.once('error', reject);
    socket.once('unexpected-response', async (_request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: text === '' ? {} : JSON.parse(text),
      });
    });
  });
}
