/** The operator's probe port: alive, ready, metrics. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

import { probePaths } from '../crds/contract.ts';

export interface Probes {
  /** @returns the port. @throws when it is taken */
  start(): Promise<number>;
  stop(): Promise<void>;
}

export interface ProbesOptions {
  /** 0: any. */
  readonly port: number;
  readonly host?: string | undefined;
  readonly registry: Registry;
  /** Whether the cluster has been read. */
  readonly isReady: () => boolean;
}

export function createProbes({ port, host, registry, isReady }: ProbesOptions): Probes {
  const server = createServer(async (request, response) => {
    const path = request.url?.replace(/\?.*/, '');
    if (path === probePaths.live) response.end('ok\n');
    else if (path === probePaths.ready)
      response.writeHead(isReady() ? 200 : 503).end(isReady() ? 'ok\n' : 'not ready\n');
    else if (path === probePaths.metrics) {
      const text = await registry.metrics();
      response.setHeader('content-type', registry.contentType).end(text);
    } else response.writeHead(404).end();
  });
  return {
    start: async () => {
      server.listen(port, host);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port; // it listens on a port and not on a pipe
    },
    stop: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
