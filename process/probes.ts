/** The probe port: `/livez`, `/readyz` and `/metrics`. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { probePaths } from '../crds/contract.ts';

export interface ProbeSource {
  /** Undefined when it can serve; otherwise why not, for whoever reads the probe's body. */
  notReadyReason(): string | undefined;
  readonly registry: { readonly contentType: string; metrics(): Promise<string> };
}

export interface ProbeServer {
  /** @returns the port it listens on. */
  listen(port: number, host?: string): Promise<number>;
  stop(): Promise<void>;
}

/** `/livez` answers 200 as long as the event loop turns; a bus that is down does not make a restart useful. */
export function createProbeServer(source: ProbeSource): ProbeServer {
  const server = createServer(async (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path === probePaths.live) {
      response.end('ok\n');
    } else if (path === probePaths.ready) {
      const reason = source.notReadyReason();
      response.statusCode = reason === undefined ? 200 : 503;
      response.end(`${reason ?? 'ok'}\n`);
    } else if (path === probePaths.metrics) {
      await source.registry.metrics().then(
        (text) => response.setHeader('content-type', source.registry.contentType).end(text),
        (cause: unknown) => {
          response.statusCode = 500;
          response.end(`${cause}\n`);
        },
      );
    } else {
      response.statusCode = 404;
      response.end(`try ${Object.values(probePaths).join(', ')}\n`);
    }
  });
  return {
    async listen(port, host) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host }, () => {
          server.off('error', reject);
          resolve();
        });
      });
      return (server.address() as AddressInfo).port;
    },
    async stop() {
      if (!server.listening) return;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}
