/**
 * The only door to undici: one POST in, one outcome out. Outcomes are values, never exceptions; redirects are never
 * followed; one time limit covers everything from waiting for a connection to the last byte of the answer.
 *
 * `dispatch` with a handler of our own is used instead of undici's `request`: no stream, no signal and no timers of
 * undici per call.
 */

import { Connections } from './connections.ts';
import { Exchange } from './exchange.ts';
import { CallGate } from './gate.ts';

export interface HttpClientOptions {
  /** Calls that may be under way to one origin at once; more wait. Default 128. Infinity: callers bound it themselves. */
  readonly connectionsPerOrigin?: number;
  /** How long a TCP and TLS handshake may take, within the time limit of the call. Default 5,000, precise to about a second. */
  readonly connectTimeoutMs?: number;
  /** How long an idle connection is kept when the server names no time (`Keep-Alive: timeout=`). Default 4,000. */
  readonly keepAliveMs?: number;
  /** How old connections get before new ones take their place, each once its call is done. Default 60,000. */
  readonly maxConnectionAgeMs?: number;
}

/** Where a call goes, split once so that the hot path parses no URL. */
export interface Target {
  /** `http://host:port` */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
}

export interface Call {
  /** A URL, or a target prepared by `parseTarget`. */
  readonly url: URL | Target;
  /** Flat `[name, value, ...]`, or a record. An invalid name or value makes the call `unreachable`. */
  readonly headers: readonly string[] | Readonly<Record<string, string>>;
  /** Not modified while the call is under way. */
  readonly body: Uint8Array | string;
  /** For everything together: waiting, connecting, sending, the head and the body of the answer. */
  readonly timeoutMs: number;
  /** Body bytes that are read of an answer before the connection is cut. */
  readonly maxAnswerBytes: number;
  /**
   * False: the body is read (so that the connection can be reused) and thrown away. Once the status line was received
   * the outcome is `answer`, whether the body then ends, breaks off, hangs or is cut for its size: the status is what
   * the other side said, and the rest was not asked for.
   */
  readonly readBody: boolean;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  /** First value of a header; the name in lower case. */
  headers(name: string): string | undefined;
  /** Empty unless `readBody`. Owned by the caller. */
  readonly body: Uint8Array;
}

/** `head` is set where the status line was received before the call failed: an answer without its body, with `readBody` only. */
export type CallResult =
  | Answer
  | { readonly kind: 'timeout'; readonly head?: Answer }
  /** Refused, reset, no such host, TLS failure, not HTTP, or a request that can't be sent. */
  | { readonly kind: 'unreachable'; readonly cause: Error; readonly head?: Answer }
  | { readonly kind: 'too-large'; readonly head: Answer }
  /** By `signal` or because the client was closed. */
  | { readonly kind: 'aborted'; readonly head?: Answer };

export interface HttpClient {
  /** Never rejects. */
  post(call: Call): Promise<CallResult>;
  /** Ends every call under way as `aborted` and closes the connections. Never rejects. */
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

  return {
    post: (call) =>
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
      }),
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      for (const gate of gates.values()) gate.abort();
      await connections.destroy();
    },
  };
}

/**
 * Splits the URL of a configured or computed destination.
 * @returns undefined when it is no absolute http or https URL, or holds credentials
 */
export function parseTarget(url: string): Target | undefined {
  const parsed = URL.parse(url);
  if (parsed === null) return undefined;
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return undefined;
  if (parsed.username !== '' || parsed.password !== '') return undefined;
  return splitUrl(parsed);
}

function splitUrl(url: URL): Target {
  return { origin: url.origin, path: url.pathname + url.search };
}
