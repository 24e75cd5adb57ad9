/** Makes one connection to NATS, with credentials and certificates read for this attempt. */

import { type Authenticator, credsAuthenticator, type NatsConnection, nkeyAuthenticator } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { KnownTokens } from './known-tokens.ts';
import type { ServerLimits } from './meter.ts';
import { connectTo } from './transport.ts';

export interface NatsAuthentication {
  /** Content of a credentials file (JWT and NKey seed), or an NKey seed alone. */
  readonly credentials?: string;
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
}

/** PEM contents. An empty object means TLS with the system's certificate authorities. */
export interface NatsTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** An event worth a log line that needs no action from the owner of the bus. */
export interface NatsEvent {
  readonly kind: 'connectFailed' | 'connected' | 'disconnected' | 'lameDuck' | 'serverError' | 'serversChanged';
  readonly detail: string;
  readonly cause?: unknown;
}

export interface NatsConnectionOptions {
  /** `nats://host:port` or `tls://host:port`; a `user:password@` in the first is used when `authentication` is absent. */
  readonly servers: readonly string[];
  /** Called before every connection. */
  readonly authentication?: () => NatsAuthentication | Promise<NatsAuthentication>;
  /** Called before every connection. */
  readonly tls?: () => NatsTls | Promise<NatsTls>;
  /**
   * Begins the subject of every answer, so that a server can keep those of one role from others. Without a final dot.
   * @default _INBOX
   */
  readonly inboxPrefix?: string;
  /** The name that the server shows for this client, for example `hydrogen gateway gw-1`. */
  readonly clientName: string;
  /** Upper bound of the random wait before the first attempt to reconnect. Default 200. */
  readonly reconnectJitterMs?: number;
  /** What a server may send before the connection is closed. @default - no limit */
  readonly serverLimits?: ServerLimits;
  readonly onEvent?: (event: NatsEvent) => void;
}

const connectTimeoutMs = 5000;

/**
 * One connection to one of `servers`; the package's own reconnecting is switched off.
 * @param tokens what servers have accepted so far
 * @param signal ends an attempt that is under way; it must not be aborted later
 * @throws what `connect` of the package throws, and what reading credentials and certificates throws
 */
export async function dial(
  options: NatsConnectionOptions,
  servers: readonly string[],
  tokens: KnownTokens,
  signal: AbortSignal,
): Promise<NatsConnection> {
  const authentication = (await options.authentication?.()) ?? fromUrl(options.servers[0]);
  const isTls = options.servers.some((server) => server.startsWith('tls://'));
  const tls = (await options.tls?.()) ?? (isTls ? {} : undefined);
  const { credentials, user, password } = authentication;
  const connect = (token: string | undefined): Promise<NatsConnection> =>
    connectTo({
      servers: [...servers],
      serverLimits: options.serverLimits,
      signal,
      name: options.clientName,
      reconnect: false,
      timeout: connectTimeoutMs,
      pingInterval: 5000,
      maxPingOut: 2,
      noAsyncTraces: true,
      ignoreAuthErrorAbort: true,
      ...(tls === undefined ? {} : { tls }),
      ...(credentials === undefined ? {} : { authenticator: authenticatorOf(credentials) }),
      ...(token === undefined ? {} : { token }),
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { pass: password }),
    });
  return tokens.login(authentication.token, connect);
}

// The seed of a user begins with SU; a credentials file begins with a line of dashes.
function authenticatorOf(credentials: string): Authenticator {
  const bytes = Buffer.from(credentials.trim());
  return bytes.subarray(0, 2).toString() === 'SU' ? nkeyAuthenticator(bytes) : credsAuthenticator(bytes);
}

function fromUrl(server: string | undefined): NatsAuthentication {
  if (server === undefined) throw new HydrogenError('HYD_CONFIG_INVALID', 'no NATS server is configured');
  if (!server.includes('@')) return {};
  const { username, password } = new URL(server.includes('://') ? server : `nats://${server}`);
  if (username !== '' && password === '') return { token: decodeURIComponent(username) };
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
}
