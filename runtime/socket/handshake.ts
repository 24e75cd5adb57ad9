/**
 * The checks of an upgrade request that come before any service is asked about it: RFC 6455 section 4.2.1, the path and
 * the origin. Pure: request in, verdict out.
 */

import type { IncomingMessage } from 'node:http';
import { HydrogenError } from '../errors.ts';
import { isOriginNamed } from '../origins.ts';

/** The client's upgrade request as authorizers see it. */
export interface Handshake {
  readonly endpoint: string;
  /** In the order and spelling of the request, without `hydrogen-*`. */
  readonly headers: readonly (readonly [string, string])[];
  readonly query: readonly (readonly [string, string])[];
  /** The client's, as far as trusted proxies say; IPv4 never in the form ::ffff:192.0.2.1. */
  readonly remoteAddress: string;
  /** Offered subprotocols in the client's order of preference, without those that carry tokens. */
  readonly subprotocols: readonly string[];
  /** Those that carry tokens: never negotiated, and shown to nobody. */
  readonly tokenSubprotocols: readonly string[];
}

export interface HandshakePolicy {
  readonly endpoints: readonly { readonly path: string }[];
  /** Exact origins, or `https://*.example.com` for every host below a domain; undefined: any. */
  /** Supported subprotocols; undefined: any. */
  readonly subprotocols?: readonly string[] | undefined;
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Which subprotocols carry tokens. */
  readonly authorizer?: { readonly jwt?: { readonly providers: readonly TokenProvider[] } | undefined } | undefined;
}

interface TokenProvider {
  readonly extractFrom: { readonly subprotocols?: readonly { readonly prefix: string }[] | undefined };
}

const key = /^[+/0-9A-Za-z]{22}==$/;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** @throws {HydrogenError} HYD_BAD_REQUEST, HYD_BAD_UPGRADE, HYD_UNKNOWN_ENDPOINT, HYD_ORIGIN_FORBIDDEN, HYD_SUBPROTOCOL_UNKNOWN */
export function readHandshake(request: IncomingMessage, remoteAddress: string, policy: HandshakePolicy): Handshake {
  const { headers } = request;
  assertHttp11(request);
  if (request.method !== 'GET') throw new HydrogenError('HYD_BAD_UPGRADE', 'the method must be GET');
  if (headers.upgrade?.toLowerCase() !== 'websocket') {
    throw new HydrogenError('HYD_BAD_UPGRADE', 'the Upgrade header must be websocket');
  }
  if (!key.test(headers['sec-websocket-key'] ?? '')) {
    throw new HydrogenError('HYD_BAD_UPGRADE', 'Sec-WebSocket-Key must be 16 bytes in base64');
  }
  if (headers['sec-websocket-version'] !== '13') {
    throw new HydrogenError('HYD_BAD_UPGRADE', 'Sec-WebSocket-Version must be 13');
  }
  const offered = readSubprotocols(headers['sec-websocket-protocol']);
  const prefixes = tokenPrefixes(policy);
  const [tokenSubprotocols, subprotocols] = [true, false].map((isToken) =>
    offered.filter((name) => prefixes.some((prefix) => name.startsWith(prefix)) === isToken),
  ) as [string[], string[]];
  const { path, query } = readTarget(request.url ?? '');
  if (!policy.endpoints.some((endpoint) => endpoint.path === path)) throw new HydrogenError('HYD_UNKNOWN_ENDPOINT');
  if (!isOriginAllowed(headers.origin, policy.allowedOrigins)) throw new HydrogenError('HYD_ORIGIN_FORBIDDEN');
  if (offered.length > 0 && chooseSubprotocol(subprotocols, policy.subprotocols) === '') {
    throw new HydrogenError(
      'HYD_SUBPROTOCOL_UNKNOWN',
      subprotocols.length > 0 ? '' : 'beside its token it offers none',
    );
  }
  return {
    endpoint: path,
    headers: readHeaders(request.rawHeaders),
    query,
    remoteAddress,
    subprotocols,
    tokenSubprotocols,
  };
}

function tokenPrefixes({ authorizer }: HandshakePolicy): string[] {
  const providers = authorizer?.jwt?.providers ?? [];
  return providers.flatMap(({ extractFrom }) => (extractFrom.subprotocols ?? []).map(({ prefix }) => prefix));
}

/** The first of ours that was offered; if none of ours is configured, the client's first; empty: none. */
export function chooseSubprotocol(offered: readonly string[], ours: readonly string[] | undefined): string {
  const chosen = ours === undefined ? offered[0] : ours.find((name) => offered.includes(name));
  return chosen ?? '';
}

/**
 * Browsers always send the origin of the page (RFC 6454 section 7.3), so a request without one comes from a client that
 * could forge it anyway: it is let through, and the authorizer decides.
 */
function isOriginAllowed(origin: string | undefined, allowed: readonly string[] | undefined): boolean {
  return allowed === undefined || origin === undefined || isOriginNamed(origin, allowed);
}

function readSubprotocols(header: string | undefined): string[] {
  if (header === undefined) return [];
  const offered = header.split(',').map((part) => part.trim());
  if (!offered.every((part) => token.test(part)) || new Set(offered).size !== offered.length) {
    throw new HydrogenError('HYD_BAD_UPGRADE', 'Sec-WebSocket-Protocol must list distinct tokens');
  }
  return offered;
}

/** RFC 9112 section 3.2: a request with more than one Host is malformed; RFC 9110 section 7.8: 1.0 cannot upgrade. */
function assertHttp11({ httpVersion, rawHeaders }: IncomingMessage): void {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  if (hosts !== 1) throw new HydrogenError('HYD_BAD_REQUEST', `it has ${hosts} Host headers`);
  if (httpVersion !== '1.1') throw new HydrogenError('HYD_BAD_UPGRADE', 'the HTTP version must be 1.1');
}

/** A path, or an absolute URL (RFC 9112 section 3.2.2), whose host is that of the request and does not matter here. */
function readTarget(requestTarget: string): { path: string; query: [string, string][] } {
  const target = requestTarget.replace(/^(?:https?|wss?):\/\/[^/?]*/i, '');
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  return { path, query: mark < 0 ? [] : [...new URLSearchParams(target.slice(mark + 1))] };
}

function readHeaders(raw: readonly string[]): [string, string][] {
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? '';
    if (!name.toLowerCase().startsWith('hydrogen-')) headers.push([name, raw[index + 1] ?? '']);
  }
  return headers;
}
