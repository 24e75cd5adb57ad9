/** The probe port of every process: `/livez`, `/readyz` and `/metrics`. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { probePaths } from '../crds/contract.ts';

export interface ProbeSource {
  /** Undefined when the process can serve; otherwise the reason, which becomes the body of the probe's answer. */
  notReadyReason(): string | undefined;
  readonly registry: { readonly contentType: string; metrics(): Promise<string> };
}

/**
 * `/livez` answers 200 for as long as the event loop runs: a restart would not bring back a bus or a cluster that is
 * down. A request that cannot be served, such as a scrape whose collector fails, is answered with 500.
 */
export class ProbeServer {
  readonly #source: ProbeSource;
  readonly #server = createServer((request, response) => void this.#handle(request, response));

  constructor(source: ProbeSource) {
    this.#source = source;
  }

  /** @returns the port it listens on. @param port 0: any free port. @throws when the port is taken */
  async listen(port: number, host?: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer((request.url ?? '').split('?', 1)[0], response);
    } catch (cause) {
      response.statusCode = 500;
      response.end(`${cause}\n`);
    }
  }

  async #answer(path: string | undefined, response: ServerResponse): Promise<void> {
    switch (path) {
      case probePaths.live:
        response.end('ok\n');
        return;
      case probePaths.ready: {
        const reason = this.#source.notReadyReason();
        response.statusCode = reason === undefined ? 200 : 503;
        response.end(`${reason ?? 'ok'}\n`);
        return;
      }
      case probePaths.metrics: {
        const text = await this.#source.registry.metrics();
        response.setHeader('content-type', this.#source.registry.contentType).end(text);
        return;
      }
      default:
        response.statusCode = 404;
        response.end(`try ${Object.values(probePaths).join(', ')}\n`);
    }
  }
}
