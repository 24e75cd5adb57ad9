/**
 * The connections that calls go over: undici's agent, replaced as a whole once it is `maxAgeMs` old. A Kubernetes
 * service balances connections, not requests, so only new connections reach pods that were added. The old agent
 * finishes its open calls. (Undici's own `clientTtl` reads the clock for every busy connection on every call: measured
 * at 10 us per message with 100 connections, where replacing the agent costs nothing per call.)
 */

import { Agent, Client, type Dispatcher, Pool } from 'undici';
import { createConnector } from './dial.ts';

export interface ConnectionOptions {
  /** Infinity: no limit. */
  readonly connectionsPerOrigin: number;
  readonly connectTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly maxAgeMs: number;
}

/** The connection that a request was given to. */
export interface Carrier {
  /** Called once for each request, when it begins. @returns true if the connection has carried another before */
  begin(): boolean;
}

/** Undici's handler of one request. */
export interface Carried extends Dispatcher.DispatchHandler {
  /** Set before `onRequestStart` is called. */
  carrier: Carrier | undefined;
}

export class Connections {
  readonly #options: ConnectionOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #retired = new Set<Agent>();
  /** Keeps no connection after its answer, so that each of its requests has a new one. */
  readonly #unshared: Agent;
  #agent: Agent;
  #isUsed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#agent = createAgent(options);
    this.#unshared = createAgent({ ...options, keepAliveMs: 1 }, 0);
    this.#timer = setInterval(() => this.#replace(), options.maxAgeMs).unref();
  }

  dispatch(request: Dispatcher.DispatchOptions, handler: Carried): void {
    this.#isUsed = true;
    this.#agent.dispatch(request, handler);
  }

  /** Over a connection that is opened for this request and closed after it. */
  dispatchAlone(request: Dispatcher.DispatchOptions, handler: Carried): void {
    this.#unshared.dispatch(request, handler);
  }

  /** Closes every connection; requests on them fail. Never rejects. */
  async destroy(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([this.#agent, this.#unshared, ...this.#retired].map((agent) => agent.destroy()));
  }

  #replace(): void {
    if (!this.#isUsed) return;
    const old = this.#agent;
    this.#agent = createAgent(this.#options);
    this.#isUsed = false;
    this.#retired.add(old);
    old.close(() => this.#retired.delete(old));
  }
}

/** One connection at a time of undici's pool. */
class CountingClient extends Client implements Carrier {
  #isNew = true;

  constructor(origin: string | URL, options: Client.Options) {
    super(origin, options);
    this.on('connect', () => {
      this.#isNew = true;
    });
  }

  override dispatch(request: Dispatcher.DispatchOptions, handler: Carried): boolean {
    handler.carrier = this;
    return super.dispatch(request, handler);
  }

  begin(): boolean {
    const isReused = !this.#isNew;
    this.#isNew = false;
    return isReused;
  }
}

/** @param pipelining 0: a connection is closed after its first answer. */
function createAgent(
  { connectionsPerOrigin, connectTimeoutMs, keepAliveMs }: ConnectionOptions,
  pipelining: 0 | 1 = 1,
): Agent {
  return new Agent({
    pipelining,
    allowH2: false,
    connections: Number.isFinite(connectionsPerOrigin) ? connectionsPerOrigin : null,
    connect: createConnector(connectTimeoutMs),
    keepAliveTimeout: keepAliveMs,
    // One timer of our own covers the whole call.
    headersTimeout: 0,
    bodyTimeout: 0,
    factory: (origin, options: Pool.Options) => new Pool(origin, { ...options, factory: createClient }),
  });
}

function createClient(origin: URL, options: Client.Options): Client {
  return new CountingClient(origin, options);
}
