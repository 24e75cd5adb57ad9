/**
 * A user's service, and what every request to it carries: the type of the body, who asks, the configured headers, and
 * where to call back. Destinations, the rules engine and hooks are all called through here.
 */

import { HydrogenError } from '../../errors.ts';
import { type CallResult, parseTarget, type Target } from '../client/call.ts';
import type { HttpClient } from '../client/client.ts';
import type { Signer } from './signer.ts';
import { describeTlsFailure } from './tls-failure.ts';

export interface ServiceSpec {
  readonly url: string;
  /**
   * The configured headers, flat `[name, value, ...]`. Called for every request; returns the same array as long as no
   * value has changed. @throws {HydrogenError} HYD_SECRET_MISSING
   */
  readonly headers: () => readonly string[];
  /** For one call, from waiting for a connection to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Undefined: requests are not signed. */
  readonly signer?: Signer | undefined;
}

export class Service {
  readonly target: Target;
  readonly timeoutMs: number;
  readonly #configuredHeaders: () => readonly string[];
  readonly #signer: Signer | undefined;
  #configured: readonly string[] | undefined;
  /** The headers that stay the same as long as the configured ones do. */
  #standing: readonly string[] = [];

  /** @throws {HydrogenError} HYD_CONFIG_INVALID when the URL is not http or https, or contains credentials */
  constructor(spec: ServiceSpec) {
    const target = parseTarget(spec.url);
    if (target === undefined) {
      throw new HydrogenError('HYD_CONFIG_INVALID', 'a service must have an http or https URL without credentials');
    }
    this.target = target;
    this.timeoutMs = spec.timeoutMs;
    this.#configuredHeaders = spec.headers;
    this.#signer = spec.signer;
  }

  /**
   * The headers of one request, to which the caller may add. @param id names what is sent, the same for each attempt of it
   * @param callbackUrl for `hydrogen-callback`; empty: none. @throws {HydrogenError} HYD_SECRET_MISSING
   */
  headers(id: string, body: Uint8Array | string, callbackUrl: string): string[] {
    const configured = this.#configuredHeaders();
    if (configured !== this.#configured) {
      this.#configured = configured;
      this.#standing = standingHeaders(configured);
    }
    const headers = this.#standing.slice();
    if (callbackUrl !== '') headers.push('hydrogen-callback', callbackUrl);
    if (this.#signer !== undefined) headers.push(...this.#signer.headers(id, body));
    return headers;
  }

  /** Posts JSON. Never rejects. @param maxAnswerBytes body bytes that are read of the answer */
  post(
    http: HttpClient,
    headers: readonly string[],
    body: Uint8Array | string,
    maxAnswerBytes: number,
    readBody: boolean,
    signal?: AbortSignal,
  ): Promise<CallResult> {
    const { target: url, timeoutMs } = this;
    const call = { url, headers, body, timeoutMs, maxAnswerBytes, readBody };
    return http.post(signal === undefined ? call : { ...call, signal });
  }
}

function standingHeaders(configured: readonly string[]): string[] {
  const names = new Set(configured.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()));
  const ours = { 'accept-encoding': 'identity', 'user-agent': 'hydrogen' };
  const kept = Object.entries(ours).filter(([name]) => !names.has(name));
  return ['content-type', 'application/json', ...kept.flat(), ...configured];
}

const words: Readonly<Record<string, string>> = {
  EAI_AGAIN: 'the name server did not answer',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to the host',
  EMFILE: 'this process has no file descriptors left',
  ENETUNREACH: 'no route to the network',
  ENFILE: 'this machine has no file descriptors left',
  ENOTFOUND: 'no such host',
  EPIPE: 'connection closed while the request was sent',
  ETIMEDOUT: 'connection timed out',
};

/** Why a call failed, for people: a sentence, with the system's code if it has one; never contents. */
export function describeCause(cause: Error): string {
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  const known = words[code];
  if (known !== undefined) return `${known} (${code})`;
  // Undici's own codes say less than its sentences, OpenSSL's say more.
  return describeTlsFailure(code) ?? (cause.message || code || cause.name);
}

/** True when a call failed since this process or machine has no file descriptors left: nothing was sent. */
export function isOutOfDescriptors(cause: Error): boolean {
  return 'code' in cause && (cause.code === 'EMFILE' || cause.code === 'ENFILE');
}
