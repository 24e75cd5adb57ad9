/** `hydrogen echo`: a destination that answers every message with itself. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface EchoServer {
  readonly url: string;
  /** Resolves when the server has stopped. */
  readonly closed: Promise<void>;
  stop(): void;
}

/** A body that is not a message of a gateway is answered with 400. @throws when the port is not available. */
export async function echo(port: number, host: string): Promise<EchoServer> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    try {
      const { message, message_encoding: encoding } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      const isBinary = encoding === 'base64';
      response.setHeader('content-type', isBinary ? 'application/octet-stream' : 'text/plain; charset=utf-8');
      response.end(Buffer.from(message, isBinary ? 'base64' : 'utf8'));
    } catch {
      response.statusCode = 400;
      response.end('not a message of a hydrogen gateway\n');
    }
  });
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}/`,
    closed,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
