/** A real HTTP server in the place of a user's service, which records requests and answers as a test wants. */

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values as they came over the wire: `[name, value, ...]`. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly receivedAtMs: number;
  /** The body as JSON. @throws SyntaxError when it is none */
  json(): Record<string, unknown>;
}

/** An answer; by default 200 without a body. */
export interface CannedAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/**
 * Called with each complete request. To answer by hand (hang, reset, endless bodies) use `response` and return
 * `'handled'`.
 */
export type DestinationHandler = (
  request: RecordedRequest,
  response: ServerResponse,
) => CannedAnswer | 'handled' | undefined | Promise<CannedAnswer | 'handled' | undefined>;

export interface TestDestination extends AsyncDisposable {
  /** `http://127.0.0.1:<port>/` */
  readonly url: string;
  readonly port: number;
  /** In the order in which they were complete. */
  readonly requests: readonly RecordedRequest[];
  /** TCP connections that were ever opened to it. */
  readonly connections: number;
  /** Answers from now on. */
  handle(handler: DestinationHandler): void;
}

export async function startDestination(handler: DestinationHandler = () => undefined): Promise<TestDestination> {
  const requests: RecordedRequest[] = [];
  let connections = 0;
  let current = handler;

  const server = createServer((incoming, response) => {
    incoming.on('error', () => {});
    response.on('error', () => {});
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', async () => {
      const request = record(incoming, Buffer.concat(chunks));
      requests.push(request);
      const answer = await current(request, response);
      if (answer === 'handled') return;
      response.writeHead(answer?.status ?? 200, answer?.headers).end(answer?.body);
    });
  });
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    requests,
    get connections() {
      return connections;
    },
    handle: (next) => {
      current = next;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function record(incoming: IncomingMessage, body: Buffer): RecordedRequest {
  return {
    method: incoming.method ?? '',
    path: incoming.url ?? '',
    headers: incoming.headers,
    rawHeaders: incoming.rawHeaders,
    body,
    receivedAtMs: Date.now(),
    json: () => JSON.parse(body.toString('utf8')),
  };
}
