/**
 * The port for clients: an HTTP server that knows upgrade requests and nothing else. Other requests get 426, and what
 * the parser refuses gets the error of our table, so that every refusal has a body, a metric and a log line.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { HydrogenError } from '../errors.ts';
import { errorBody, refuse } from './refusal.ts';

export interface ListenerHandlers {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** A request that the HTTP parser refused; it is answered. */
  refused(error: HydrogenError, remoteAddress: string): void;
  /** A socket that was cut, since clients have all descriptors that they may have. */
  dropped(): void;
  /** A failure of the system. */
  failed(error: unknown): void;
}

/** Bytes of a request line and all its headers; the next one gets 431. Documented in docs/wire.md. */
const maxHeaderBytes = 16_384;
/** Milliseconds that a request may take to arrive, and between two checks of that. */
const requestTimeoutMs = 20_000;
const checkMs = 5_000;

export class Listener {
  readonly #handlers: ListenerHandlers;
  readonly #server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: checkMs,
    },
    answerPlainRequest,
  );

  /** @param maxSockets sockets of clients; further ones are cut */
  constructor(handlers: ListenerHandlers, maxSockets: number) {
    this.#handlers = handlers;
    if (Number.isFinite(maxSockets)) this.#server.maxConnections = maxSockets;
    this.#server.on('drop', () => handlers.dropped());
    this.#server.on('upgrade', (request, socket, head) => handlers.upgrade(request, socket, head));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#onClientError(error, socket));
  }

  /** @returns the port it listens on. @throws when the port is not available. */
  async listen(port: number, host?: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, backlog: 4096 }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#handlers.failed(error));
        resolve();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Stops listening and cuts requests that are not upgraded. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #onClientError(cause: NodeJS.ErrnoException, socket: Duplex): void {
    if (!socket.writable || cause.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const error = parserError(cause);
    const remoteAddress = (socket as Socket).remoteAddress ?? '';
    refuse(socket, error);
    this.#handlers.refused(error, remoteAddress);
  }
}

function parserError(cause: NodeJS.ErrnoException): HydrogenError {
  switch (cause.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new HydrogenError('HYD_HEADERS_TOO_LARGE', '', { cause });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HydrogenError('HYD_REQUEST_TIMEOUT', '', { cause });
    default:
      return new HydrogenError('HYD_BAD_REQUEST', cause.message, { cause });
  }
}

function answerPlainRequest(_request: IncomingMessage, response: ServerResponse): void {
  const error = new HydrogenError('HYD_UPGRADE_REQUIRED');
  response.writeHead(426, { 'content-type': 'application/json', upgrade: 'websocket', connection: 'close' });
  response.end(errorBody(error));
}
