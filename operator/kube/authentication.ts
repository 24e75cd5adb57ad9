/** Credentials that stay current: they are read again every half minute, and at once if the server refuses them. */
import { Agent } from 'node:https';

import type { Cluster, ClusterCredentials, TlsSettings } from './cluster.ts';
import { ApiError, messageOf } from './errors.ts';

const lifeMs = 30_000;
const maxFreeSockets = 16;

/** The credentials of one request, with its agent. */
export interface Authenticated extends Omit<ClusterCredentials, 'tls' | 'agent'> {
  /** Undefined: plain HTTP, without our own agent. */
  readonly agent: Agent | undefined;
}

/** The credentials of a cluster, with one agent as long as its certificates stay the same. */
export class Authentication {
  readonly #cluster: Cluster;
  readonly #isPlain: boolean;
  #agent: { readonly key: string; readonly agent: Agent } | undefined;
  #found: { readonly credentials: Promise<Authenticated>; readonly atMs: number } | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#isPlain = cluster.server.protocol === 'http:';
  }

  /** @throws {ApiError} when they cannot be read */
  current(): Promise<Authenticated> {
    if (this.#found === undefined || Date.now() - this.#found.atMs > lifeMs) {
      this.#found = { credentials: this.#read(), atMs: Date.now() };
    }
    return this.#found.credentials;
  }

  /** Makes the next call read the credentials again. */
  forget(): void {
    this.#found = undefined;
  }

  close(): void {
    this.#agent?.agent.destroy();
  }

  async #read(): Promise<Authenticated> {
    try {
      const { tls, agent: proxy, ...credentials } = await this.#cluster.credentials();
      const isOwn = proxy === undefined && !this.#isPlain;
      return { ...credentials, agent: isOwn ? this.#agentFor(tls) : proxy };
    } catch (cause) {
      this.#found = undefined;
      throw new ApiError(0, `no credentials for the API server: ${messageOf(cause)}`, { cause });
    }
  }

  #agentFor(tls: TlsSettings): Agent {
    const key = JSON.stringify(tls);
    if (this.#agent?.key !== key) {
      const defined = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
      const agent = new Agent({ ...defined, keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets });
      this.#agent = { key, agent };
    }
    return this.#agent.agent;
  }
}
