/**
 * The only door to undici: one request in, one outcome out. Outcomes are values, never exceptions; redirects are never
 * followed; one time limit covers everything from waiting for a connection to the last byte of the answer.
 *
 * `dispatch` with a handler of our own is used instead of undici's `request`: no stream, no signal and no timers of
 * undici per call.
 */

import { type CallResult, type HttpRequest, splitUrl } from './call.ts';
import { Connections } from './connections.ts';
import { Exchange } from './exchange.ts';
import { CallGate } from './gate.ts';

export interface HttpClientOptions {
  /** Calls that may be open to one origin at once; more wait. Default 128. Infinity: callers bound it themselves. */
  readonly connectionsPerOrigin?: number;
  /** How long a TCP and TLS handshake may take, within the time limit of the call. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /**
   * How long an idle connection is kept when the server does not specify it (`Keep-Alive: timeout=`). Default 4,000.
   */
  readonly keepAliveMs?: number;
  /** The age at which connections are replaced, each once its call is done. Default 60,000. */
  readonly maxConnectionAgeMs?: number;
}

export interface HttpClient {
  /** Never rejects. */
  post(call: HttpRequest): Promise<CallResult>;
  /** As `post`. */
  get(call: Omit<HttpRequest, 'method' | 'body'>): Promise<CallResult>;
  /** Ends every open call as `aborted` and closes the connections. Never rejects. */
  close(): Promise<void>;
}

const defaults = { connectionsPerOrigin: 128, connectTimeoutMs: 5_000, keepAliveMs: 4_000, maxConnectionAgeMs: 60_000 };

export function createHttpClient(options: HttpClientOptions = {}): HttpClient {
  const { connectionsPerOrigin, connectTimeoutMs, keepAliveMs, maxConnectionAgeMs } = { ...defaults, ...options };
  const connections = new Connections({
    connectionsPerOrigin,
    connectTimeoutMs,
    keepAliveMs,
    maxAgeMs: maxConnectionAgeMs,
  });
  const gates = new Map<string, CallGate>();
  let isClosed = false;

  const send = (call: HttpRequest): Promise<CallResult> =>
    new Promise((resolve) => {
      if (isClosed || call.signal?.aborted === true) {
        resolve({ kind: 'aborted' });
        return;
      }
      const target = call.url instanceof URL ? splitUrl(call.url) : call.url;
      let gate = gates.get(target.origin);
      if (gate === undefined) {
        gate = new CallGate(connectionsPerOrigin, () => gates.delete(target.origin));
        gates.set(target.origin, gate);
      }
      gate.enter(new Exchange(connections, gate, call, target, resolve));
    });

  return {
    post: send,
    get: (call) => send({ ...call, method: 'GET', body: null }),
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      for (const gate of gates.values()) gate.abort();
      await connections.destroy();
    },
  };
}
