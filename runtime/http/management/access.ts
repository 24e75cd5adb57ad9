/**
 * Who may call the management API, and for what. Browsers are kept out unless their page's origin is named, because a page
 * can make anybody's browser send requests to what that person can reach; and on loopback a foreign `Host` is refused,
 * because a page's own host name may lead to the loopback address of whoever opens it (DNS rebinding).
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { HydrogenError } from '../../errors.ts';
import { isOriginNamed } from '../../origins.ts';

/** What a token is good for. */
export type Scope = 'Send' | 'Disconnect' | 'Membership' | 'Read';

export const allScopes: readonly Scope[] = ['Send', 'Disconnect', 'Membership', 'Read'];

/** A token that callers may carry. */
export interface KnownToken {
  /** For the log. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** @throws {HydrogenError} HYD_SECRET_MISSING */
  value(): string;
}

export interface AccessPolicy {
  /** Empty: callers need no token. */
  tokens(): readonly KnownToken[];
  /** Origins of pages that may call it; `https://*.example.com` names those of all subdomains. */
  allowedOrigins(): readonly string[];
  /** The host of the URL under which services call, if there is one. */
  callbackHost(): string | undefined;
}

/**
 * The name of the caller's token; undefined when none is needed.
 * @param scope what the request needs; undefined: any token will do
 * @throws {HydrogenError} HYD_TOKEN_INVALID, HYD_SCOPE_MISSING, HYD_SECRET_MISSING when no token can be read
 */
export function callerOf(
  header: string | undefined,
  scope: Scope | undefined,
  policy: AccessPolicy,
): string | undefined {
  const tokens = policy.tokens();
  if (tokens.length === 0) return undefined;
  const presented = digest(/^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? '');
  let known: KnownToken | undefined;
  let unreadable: unknown;
  let readable = 0;
  for (const token of tokens) {
    try {
      const isThis = timingSafeEqual(presented, digest(token.value()));
      readable += 1;
      if (isThis) known ??= token;
    } catch (error) {
      // Another one may be there: tokens are replaced one after another.
      unreadable = error;
    }
  }
  if (readable === 0) throw unreadable;
  if (known === undefined) throw new HydrogenError('HYD_TOKEN_INVALID');
  if (scope !== undefined && !known.scopes.includes(scope)) {
    throw new HydrogenError('HYD_SCOPE_MISSING', `this needs the scope ${scope}`);
  }
  return known.name;
}

/**
 * The origin of a page that may call; undefined when no page calls.
 * @throws {HydrogenError} HYD_ORIGIN_REFUSED for any other page
 */
export function pageOf(headers: IncomingHttpHeaders, policy: AccessPolicy): string | undefined {
  const { origin } = headers;
  if (origin !== undefined) {
    if (isOriginNamed(origin, policy.allowedOrigins())) return origin;
    throw new HydrogenError('HYD_ORIGIN_REFUSED');
  }
  // A link or an image of another site has no origin, but a browser says where it comes from (Fetch Metadata).
  const site = headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site') throw new HydrogenError('HYD_ORIGIN_REFUSED');
  return undefined;
}

/** @throws {HydrogenError} HYD_HOST_REFUSED for a host that is neither loopback nor the one that services call */
export function assertLoopbackHost(host: string | undefined, policy: AccessPolicy): void {
  if (host === undefined) return;
  const name = hostname(host);
  const isKnown = name === 'localhost' || name?.endsWith('.localhost') || isLoopbackAddress(name);
  if (name === undefined || !(isKnown || host === policy.callbackHost())) throw new HydrogenError('HYD_HOST_REFUSED');
}

/** True for 127.0.0.0/8 and ::1, also in the form `::ffff:127.0.0.1`. */
export function isLoopbackAddress(address = ''): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return isIP(plain) === 4 ? plain.startsWith('127.') : plain === '::1';
}

function hostname(host: string): string | undefined {
  try {
    return new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '');
  } catch {
    // No host at all.
    return undefined;
  }
}

/** Of equal length whatever the token, so that comparing reveals neither its content nor its length. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
