/**
 * One connection to NATS that outlives its servers. The package's own reconnecting is switched off: each connection is
 * a new one, so that credentials and certificates are read again, no authentication failure is final, and nothing that
 * was published while cut off waits in a buffer that nobody watches. What must survive (subscriptions, handlers) is
 * registered here once and renewed on every connection.
 */

import { credsAuthenticator, type Msg, type NatsConnection, nuid, type Subscription } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { BusStatus } from '../port/bus.ts';
import { ServerExcess, type ServerLimits } from './meter.ts';
import { connectTo } from './transport.ts';
import { rawHeaders } from './wire.ts';

export interface NatsAuthentication {
  /** Content of a credentials file (JWT and nkey seed). */
  readonly credentials?: string;
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
}

/** PEM contents. An empty object asks for TLS with the system's authorities. */
export interface NatsTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Something worth a log line that needs no action of the bus's owner. */
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
  /** What the server shows for this client, for example `hydrogen gateway gw-1`. */
  readonly clientName: string;
  /** Upper bound of the random wait before the first attempt to reconnect. Default 200. */
  readonly reconnectJitterMs?: number;
  /** What a server may send before the connection is closed. @default - as much as it likes, in messages of any length */
  readonly serverLimits?: ServerLimits;
  readonly onEvent?: (event: NatsEvent) => void;
}

export interface Subscribed {
  /** Ends it; what is already on its way may still arrive until this resolves. Never rejects. */
  drain(): Promise<void>;
}

export interface Link {
  readonly status: BusStatus;
  readonly isUp: boolean;
  /** Bytes of headers and payload that the server takes in one message. */
  readonly maxPayloadBytes: number;
  /** A subject prefix of this process alone, without the final dot. */
  readonly inbox: string;
  onStatus(listener: (status: BusStatus, cause?: unknown) => void): void;
  start(): void;
  stop(): Promise<void>;
  /** Renewed on every connection. */
  subscribe(subject: string, listener: (msg: Msg) => void): Subscribed;
  /**
   * False when it was not sent because the link is down. @param headers a complete header block
   * @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE
   */
  publish(subject: string, payload: Uint8Array, reply?: string, headers?: string): boolean;
  /** Resolves when the server has seen everything sent before, or the link went down. */
  flush(): Promise<void>;
}

interface Registered {
  readonly subject: string;
  readonly listener: (msg: Msg) => void;
  live: Subscription | undefined;
}

interface Outgoing {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly reply: string | undefined;
  readonly headers: string | undefined;
}

const connectTimeoutMs = 5000;
const maxDelayMs = 2000;
const flushTimeoutMs = 1000;
const defaultMaxPayloadBytes = 1024 * 1024;
/** How long a server that went beyond its limits is left alone. */
const excessPauseMs = 30_000;
const maxGossipedServers = 64;

export function createLink(options: NatsConnectionOptions): Link {
  const registered = new Set<Registered>();
  const listeners: ((status: BusStatus, cause?: unknown) => void)[] = [];
  const gossiped = new Set<string>();
  const note = options.onEvent ?? ((): void => {});
  let status: BusStatus = 'down';
  let connection: NatsConnection | undefined;
  let outgoing: Outgoing[] = [];
  let timer: NodeJS.Timeout | undefined;
  let isStarted = false;
  let failures = 0;
  let maxPayloadBytes = defaultMaxPayloadBytes;

  function become(next: BusStatus, cause?: unknown): void {
    if (status === next || status === 'stopped') return;
    status = next;
    for (const listener of listeners) listener(next, cause);
  }

  // Every second failure tries what the cluster told of itself, in case no configured server is left.
  function servers(): string[] {
    return failures % 2 === 1 && gossiped.size > 0 ? [...gossiped] : [...options.servers];
  }

  async function dial(): Promise<void> {
    try {
      const authentication = (await options.authentication?.()) ?? fromUrl(options.servers[0]);
      const isTls = options.servers.some((server) => server.startsWith('tls://'));
      const tls = (await options.tls?.()) ?? (isTls ? {} : undefined);
      const { credentials, token, user, password } = authentication;
      const next = await connectTo({
        servers: servers(),
        serverLimits: options.serverLimits,
        name: options.clientName,
        reconnect: false,
        timeout: connectTimeoutMs,
        pingInterval: 5000,
        maxPingOut: 2,
        noAsyncTraces: true,
        ignoreAuthErrorAbort: true,
        ...(tls === undefined ? {} : { tls }),
        ...(credentials === undefined ? {} : { authenticator: credsAuthenticator(Buffer.from(credentials)) }),
        ...(token === undefined ? {} : { token }),
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { pass: password }),
      });
      if (status === 'stopped') await next.close();
      else adopt(next);
    } catch (cause) {
      if (status === 'stopped') return;
      note({ kind: 'connectFailed', detail: servers().join(', '), cause });
      failures++;
      redial(cause, Math.min(maxDelayMs, 50 * 2 ** failures) * (0.5 + Math.random() / 2));
    }
  }

  function redial(cause: unknown, delayMs: number): void {
    const isExcess = options.serverLimits !== undefined && cause instanceof ServerExcess;
    timer = setTimeout(() => void dial(), isExcess ? excessPauseMs : delayMs);
  }

  function adopt(next: NatsConnection): void {
    connection = next;
    failures = 0;
    maxPayloadBytes = next.info?.max_payload ?? defaultMaxPayloadBytes;
    // Each server tells all that it knows of; one that has left the cluster is not tried for ever.
    gossiped.clear();
    gossip(next.info?.connect_urls);
    void next.closed().then((cause) => lose(next, cause ?? undefined));
    void watch(next);
    for (const one of registered) one.live = listen(next, one);
    note({ kind: 'connected', detail: next.getServer() });
    become('up');
  }

  function lose(lost: NatsConnection, cause: unknown): void {
    if (connection !== lost) return;
    connection = undefined;
    for (const one of registered) one.live = undefined;
    if (status === 'stopped') return;
    note({ kind: 'disconnected', detail: lost.getServer(), cause });
    become('down', cause);
    redial(cause, Math.random() * (options.reconnectJitterMs ?? 200));
  }

  function gossip(urls: readonly string[] = []): void {
    for (const url of urls) if (gossiped.size < maxGossipedServers) gossiped.add(url);
  }

  // What a turn of the event loop publishes leaves in one write: the package would write once per callback, and a write
  // is what costs most on both sides. What is lost with the connection was not acknowledged, as bytes on the wire.
  function sendOutgoing(): void {
    const batch = outgoing;
    outgoing = [];
    for (const { subject, payload, reply, headers } of batch) {
      if (connection === undefined || connection.isClosed()) return;
      connection.publish(subject, payload, {
        ...(reply === undefined ? {} : { reply }),
        ...(headers === undefined ? {} : { headers: rawHeaders(headers) }),
      });
    }
  }

  async function watch(next: NatsConnection): Promise<void> {
    for await (const { type, data, permissionContext: denied } of next.status()) {
      if (type === 'ldm') note({ kind: 'lameDuck', detail: String(data) });
      const what = denied === undefined ? '' : ` ${denied.operation} ${denied.subject}`;
      if (type === 'error') note({ kind: 'serverError', detail: `${data}${what}` });
      if (type !== 'update' || typeof data !== 'object') continue;
      for (const url of data.deleted ?? []) gossiped.delete(url);
      gossip(data.added);
      note({ kind: 'serversChanged', detail: JSON.stringify(data) });
    }
  }

  return {
    get status() {
      return status;
    },
    get isUp() {
      return status === 'up';
    },
    get maxPayloadBytes() {
      return maxPayloadBytes;
    },
    inbox: `_INBOX.${nuid.next()}`,
    onStatus: (listener) => void listeners.push(listener),
    start: () => {
      if (isStarted || status === 'stopped') return;
      isStarted = true;
      void dial();
    },
    stop: async () => {
      if (status === 'stopped') return;
      clearTimeout(timer);
      sendOutgoing();
      const last = connection;
      if (last !== undefined) await within(flushTimeoutMs, last.flush());
      become('stopped');
      // The connection may have been lost while it was flushed.
      clearTimeout(timer);
      connection = undefined;
      if (last !== undefined) await last.close().catch(() => {});
    },
    subscribe: (subject, listener) => {
      const one: Registered = { subject, listener, live: undefined };
      registered.add(one);
      if (connection !== undefined && !connection.isClosed()) one.live = listen(connection, one);
      return {
        drain: async () => {
          registered.delete(one);
          if (one.live !== undefined) await within(flushTimeoutMs, one.live.drain());
        },
      };
    },
    publish: (subject, payload, reply, headers) => {
      if (connection === undefined || status !== 'up' || connection.isClosed()) return false;
      if (payload.byteLength + (headers?.length ?? 0) > maxPayloadBytes) {
        throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', 'for the server');
      }
      if (outgoing.length === 0) setImmediate(sendOutgoing);
      outgoing.push({ subject, payload, reply, headers });
      return true;
    },
    flush: async () => {
      sendOutgoing();
      if (connection !== undefined) await within(flushTimeoutMs, connection.flush());
    },
  };
}

// The package swallows what a callback throws and stops reading; a throwing listener is a bug and must be seen.
function listen(connection: NatsConnection, one: Registered): Subscription {
  return connection.subscribe(one.subject, {
    callback: (err, msg) => {
      if (err !== null) return;
      try {
        one.listener(msg);
      } catch (bug) {
        process.nextTick(() => {
          throw bug;
        });
      }
    },
  });
}

function fromUrl(server: string | undefined): NatsAuthentication {
  if (server === undefined) throw new HydrogenError('HYD_CONFIG_INVALID', 'no NATS server is named');
  if (!server.includes('@')) return {};
  const { username, password } = new URL(server.includes('://') ? server : `nats://${server}`);
  if (username !== '' && password === '') return { token: decodeURIComponent(username) };
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
}

async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work.then(ignore, ignore), late]);
  clearTimeout(timer);
}

function ignore(): void {}
