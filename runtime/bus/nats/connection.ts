/**
 * The link to NATS, which outlives its connections. The package's own reconnect is off: every connection is a new one,
 * so that credentials and certificates are read again, no authentication failure is final, and nothing published while
 * the link is down waits in a buffer that nobody watches. Subscriptions are registered here once and renewed on every
 * connection.
 */

import { type Msg, type NatsConnection, nuid, type PublishOptions, type Subscription } from 'nats';
import { within } from '../../../process/timing.ts';
import { writeAtTurnEnd } from '../../../process/turn.ts';
import { HydrogenError } from '../../errors.ts';
import type { BusStatus } from '../port/bus.ts';
import { dial, type NatsConnectionOptions, type NatsEvent } from './dial.ts';
import { KnownTokens } from './known-tokens.ts';
import { ServerExcess } from './meter.ts';
import { rawHeaders } from './wire.ts';

export interface Subscribed {
  /** Unsubscribes. Messages in flight may still arrive until this resolves. Never rejects. */
  drain(): Promise<void>;
  /** Unsubscribes. Messages in flight may still arrive in this turn of the event loop. */
  close(): void;
}

type StatusListener = (status: BusStatus, cause?: unknown) => void;

interface Registered {
  readonly subject: string;
  readonly listener: (msg: Msg) => void;
  live: Subscription | undefined;
}

interface Outgoing {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly options: PublishOptions;
}

const maxDelayMs = 2000;
const flushTimeoutMs = 1000;
const defaultMaxPayloadBytes = 1024 * 1024;
/** How long to wait before connecting again to a server that exceeded its limits. */
const excessPauseMs = 30_000;
const maxAnnounced = 64;

export class Link {
  /** Subject prefix unique to this link, without the final dot. */
  readonly inbox: string;
  readonly #options: NatsConnectionOptions;
  readonly #registered = new Set<Registered>();
  readonly #listeners = new Set<StatusListener>();
  readonly #tokens = new KnownTokens();
  readonly #deniedListeners = new Set<(subject: string) => void>();
  /** Addresses that the servers announced. */
  readonly #announced = new Set<string>();
  #state: 'new' | 'down' | 'up' | 'stopped' = 'new';
  #connection: NatsConnection | undefined;
  /** The attempt to connect that is under way. */
  #attempt: AbortController | undefined;
  #outgoing: Outgoing[] = [];
  #redialTimer: NodeJS.Timeout | undefined;
  #failures = 0;
  #maxPayloadBytes = defaultMaxPayloadBytes;

  constructor(options: NatsConnectionOptions) {
    this.#options = options;
    this.inbox = `${options.inboxPrefix ?? '_INBOX'}.${nuid.next()}`;
  }

  get status(): BusStatus {
    return this.#state === 'new' ? 'down' : this.#state;
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** Bytes of headers and payload that the server accepts in one message. */
  get maxPayloadBytes(): number {
    // Read for every message, because a server may change its limit at any time.
    this.#maxPayloadBytes = this.#connection?.info?.max_payload ?? this.#maxPayloadBytes;
    return this.#maxPayloadBytes;
  }

  /** @returns a function that removes the listener */
  onStatus(listener: StatusListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param listener called with a subject that the server does not let this login publish to, at each attempt */
  onDenied(listener: (subject: string) => void): void {
    this.#deniedListeners.add(listener);
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'down';
    void this.#dial();
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#sendOutgoing();
    const last = this.#connection;
    // Before the first await, so that a connection lost meanwhile is not replaced.
    this.#become('stopped');
    clearTimeout(this.#redialTimer);
    this.#connection = undefined;
    // Otherwise an attempt to reach a silent server would keep the process alive until it times out.
    this.#attempt?.abort();
    if (last === undefined) return;
    await within(flushTimeoutMs, last.flush().catch(ignore));
    await last.close().catch(() => {});
  }

  /** Renewed on every connection. */
  subscribe(subject: string, listener: (msg: Msg) => void): Subscribed {
    const one: Registered = { subject, listener, live: undefined };
    this.#registered.add(one);
    if (this.#connection !== undefined && !this.#connection.isClosed()) one.live = listen(this.#connection, one);
    return {
      drain: async () => {
        this.#registered.delete(one);
        if (one.live !== undefined) await within(flushTimeoutMs, one.live.drain().catch(ignore));
      },
      close: () => {
        this.#registered.delete(one);
        if (one.live?.isClosed() === false) one.live.unsubscribe();
      },
    };
  }

  /**
   * False when it was not sent because the link is down. @param headers a complete header block
   * @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE
   */
  publish(subject: string, payload: Uint8Array, reply?: string, headers?: string): boolean {
    if (this.#connection === undefined || this.#state !== 'up' || this.#connection.isClosed()) return false;
    if (payload.byteLength + (headers?.length ?? 0) > this.maxPayloadBytes) {
      throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', 'for the server');
    }
    const options: PublishOptions = {};
    if (reply !== undefined) options.reply = reply;
    if (headers !== undefined) options.headers = rawHeaders(headers);
    if (this.#outgoing.length === 0) writeAtTurnEnd(this.#sendOutgoing);
    this.#outgoing.push({ subject, payload, options });
    return true;
  }

  #become(next: 'down' | 'up' | 'stopped', cause?: unknown): void {
    if (this.#state === next || this.#state === 'stopped') return;
    this.#state = next;
    for (const listener of this.#listeners) listener(next, cause);
  }

  #note(event: NatsEvent): void {
    this.#options.onEvent?.(event);
  }

  // After every second failure, tries the servers that the cluster announced, in case no configured server is left.
  #servers(): readonly string[] {
    return this.#failures % 2 === 1 && this.#announced.size > 0 ? [...this.#announced] : this.#options.servers;
  }

  async #dial(): Promise<void> {
    let next: NatsConnection;
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      next = await dial(this.#options, this.#servers(), this.#tokens, attempt.signal);
      this.#attempt = undefined;
      // The connection may have been closed, by the server or by us, in the meantime.
      if (next.isClosed()) throw (await next.closed()) ?? new Error('the connection was closed at once');
    } catch (cause) {
      this.#attempt = undefined;
      if (this.#isStopped()) return;
      this.#note({ kind: 'connectFailed', detail: this.#servers().join(', '), cause });
      this.#failures++;
      this.#redial(cause, Math.min(maxDelayMs, 50 * 2 ** this.#failures) * (0.5 + Math.random() / 2));
      return;
    }
    if (this.#isStopped()) await next.close().catch(() => {});
    else this.#adopt(next);
  }

  // In a method because the state may have changed during an await, which the type checker does not see.
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #redial(cause: unknown, delayMs: number): void {
    const isExcess = this.#options.serverLimits !== undefined && cause instanceof ServerExcess;
    this.#redialTimer = setTimeout(() => void this.#dial(), isExcess ? excessPauseMs : delayMs);
  }

  #announce(urls: readonly string[] = []): void {
    for (const url of urls) if (this.#announced.size < maxAnnounced) this.#announced.add(url);
  }

  #adopt(next: NatsConnection): void {
    this.#connection = next;
    this.#failures = 0;
    // Each server announces all the servers it knows, so one that has left the cluster is not tried forever.
    this.#announced.clear();
    this.#announce(next.info?.connect_urls);
    void next.closed().then((cause) => this.#lose(next, cause ?? undefined));
    void this.#watch(next);
    for (const one of this.#registered) one.live = listen(next, one);
    this.#note({ kind: 'connected', detail: next.getServer() });
    this.#become('up');
  }

  #lose(lost: NatsConnection, cause: unknown): void {
    if (this.#connection !== lost) return;
    this.#connection = undefined;
    for (const one of this.#registered) one.live = undefined;
    if (this.#state === 'stopped') return;
    this.#note({ kind: 'disconnected', detail: lost.getServer(), cause });
    this.#become('down', cause);
    this.#redial(cause, Math.random() * (this.#options.reconnectJitterMs ?? 200));
  }

  // Everything published in one turn of the event loop leaves in one write. The package would write once per callback,
  // and writes are the largest cost on both sides. What is lost with the connection was not acknowledged, just like
  // bytes on the wire.
  readonly #sendOutgoing = (): void => {
    const batch = this.#outgoing;
    this.#outgoing = [];
    for (const { subject, payload, options } of batch) {
      if (this.#connection === undefined || this.#connection.isClosed()) return;
      try {
        this.#connection.publish(subject, payload, options);
      } catch (cause) {
        // The server's limit has shrunk since. A message that must not be lost is published again, and refused then.
        this.#note({ kind: 'serverError', detail: `cannot publish to ${subject}`, cause });
      }
    }
  };

  async #watch(next: NatsConnection): Promise<void> {
    for await (const { type, data, permissionContext: denied } of next.status()) {
      if (type === 'ldm') this.#note({ kind: 'lameDuck', detail: String(data) });
      const what = denied === undefined ? '' : ` ${denied.operation} ${denied.subject}`;
      if (type === 'error') this.#note({ kind: 'serverError', detail: `${data}${what}` });
      if (denied?.operation === 'publish') for (const listener of this.#deniedListeners) listener(denied.subject);
      if (type !== 'update' || typeof data !== 'object') continue;
      for (const url of data.deleted ?? []) this.#announced.delete(url);
      this.#announce(data.added);
      this.#note({ kind: 'serversChanged', detail: JSON.stringify(data) });
    }
  }
}

// The package swallows exceptions of a callback and stops reading. A listener that throws is a bug and must be seen.
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

function ignore(): void {}
