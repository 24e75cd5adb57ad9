/**
 * Turns upgrade requests into connections and keeps them: handshake, limits, authorizer, connect hook, register, open;
 * then messages in, closures out. Knows nothing of the bus or of HTTP services: `handlers` are asked, in that order.
 *
 * Guarantees: no socket is opened before `authorize` and `connect` admit the client; `disconnected` is called exactly
 * once for every connection that `connect` admitted; messages of a connection arrive in the client's order, and none
 * arrives while the connection is held; what was read before its socket closed may arrive after `disconnected`.
 */

import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Server, type ServerOptions, WebSocketServer } from 'ws';
import { within } from '../../process/timing.ts';
import { closeCodes } from '../close.ts';
import { HydrogenError } from '../errors.ts';
import { AddressLimits } from './address-limits.ts';
import { ClientSocket } from './client-socket.ts';
import type { Closure } from './closure.ts';
import { Connection } from './connection.ts';
import { descriptorsForClients } from './descriptors.ts';
import { chooseSubprotocol, type Handshake, readHandshake } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { endOf } from './lifetime.ts';
import { Listener, type ListenerHandlers } from './listener.ts';
import { MemoryGuard } from './memory-guard.ts';
import type { LiveSocketPolicy } from './policy.ts';
import { Pongs } from './pongs.ts';
import { closureOf } from './protocol-error.ts';
import { refuse } from './refusal.ts';
import { Throttle } from './throttle.ts';
import { TrustedProxies } from './trusted-proxies.ts';
import { Upgrade } from './upgrade.ts';

export interface Admission {
  /** JSON. */
  readonly context: string;
  /** One of the offered subprotocols. */
  readonly subprotocol?: string | undefined;
  /** Who the client is. */
  readonly user?: string | undefined;
  /** The channels that it is in from the beginning, each once. */
  readonly channels?: readonly string[] | undefined;
  /** Milliseconds from now on after which its authorization has expired; undefined and infinity: never. */
  readonly validMs?: number | undefined;
}

export interface SocketHandlers {
  /** Why upgrades to this endpoint are refused; undefined when they are not. */
  refusal(endpoint: string): HydrogenError | undefined;
  /** @param signal aborts when the client leaves: nobody waits any more. @throws {HydrogenError} to refuse. */
  authorize(connection: Connection, handshake: Handshake, signal: AbortSignal): Promise<Admission>;
  /** The connection can be pushed to from now on, until it is removed. */
  registered(connection: Connection): void;
  removed(connection: Connection): void;
  /** Called once it is registered. @throws {HydrogenError} to refuse. */
  connect(connection: Connection): Promise<void>;
  opened(connection: Connection): void;
  message(connection: Connection, data: Buffer, isBinary: boolean): void;
  disconnected(connection: Connection, closure: Closure): void;
  refused(error: HydrogenError, request: { path: string; remoteAddress: string; durationMs: number }): void;
  /** The largest connections were closed, since clients made the process remember more than it may. */
  memoryExhausted(facts: { readonly closed: number; readonly keptBytes: number; readonly maxBytes: number }): void;
  /** A client was cut before it said anything: clients have all file descriptors that they may have. */
  dropped(): void;
  /** A failure caused by a bug or the system, not by the client. */
  failed(error: unknown): void;
}

/**
 * Frames of one message. Each costs a hundred bytes and more, however short it is; a client that sends a message of the
 * default limit in network packets needs 200.
 */
const maxFragments = 1024;
/** Milliseconds after which a client that was sent a close frame is cut off, although messages still arrive. */
const closeTimeoutMs = 30_000;
/** Milliseconds that terminated sockets have to report how they ended. */
export const terminateMs = 500;

export class SocketServer {
  readonly #instanceId: string;
  readonly #policy: LiveSocketPolicy;
  readonly #handlers: SocketHandlers;
  readonly #connections = new Map<string, Connection>();
  readonly #subprotocols = new WeakMap<IncomingMessage, string>();
  readonly #acceptor: Server<typeof ClientSocket>;
  readonly #listener: Listener;
  readonly #heartbeat: Heartbeat;
  readonly #addresses: AddressLimits;
  readonly #memory: MemoryGuard;
  readonly #proxies: TrustedProxies;
  /** The sockets of upgrades that are not answered yet. */
  readonly #unanswered = new Set<Duplex>();
  /** Upgrades that are not registered yet. */
  #upgrades = 0;
  #onEmpty: (() => void)[] = [];

  /** @param instanceId first part of every connection id, `[a-z0-9]+`. */
  constructor(instanceId: string, policy: LiveSocketPolicy, handlers: SocketHandlers) {
    this.#instanceId = instanceId;
    this.#policy = policy;
    this.#handlers = handlers;
    this.#addresses = new AddressLimits(policy);
    this.#memory = new MemoryGuard(policy, {
      connections: this.#connections,
      pendingHandshakes: () => this.#unanswered.size,
      exhausted: handlers.memoryExhausted,
    });
    this.#proxies = new TrustedProxies(policy);
    // The types of ws do not know these two yet.
    const options: ServerOptions<typeof ClientSocket> & { closeTimeout: number; maxFragments: number } = {
      WebSocket: ClientSocket,
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false,
      maxFragments,
      closeTimeout: closeTimeoutMs,
      handleProtocols: (_offered, request) => this.#subprotocols.get(request) ?? false,
    };
    this.#acceptor = new WebSocketServer(options);
    const listenerHandlers: ListenerHandlers = {
      upgrade: (request, socket, head) => void this.#upgrade(request, socket, head),
      refused: (error, remoteAddress) => handlers.refused(error, { path: '', remoteAddress, durationMs: 0 }),
      dropped: handlers.dropped,
      failed: handlers.failed,
    };
    this.#listener = new Listener(listenerHandlers, descriptorsForClients());
    this.#heartbeat = new Heartbeat(this.#connections, policy, (connection) => {
      const reason = 'no sign of life';
      connection.close({ closeCode: closeCodes.abnormal, reason, by: 'network', code: 'HYD_HEARTBEAT_TIMEOUT' });
    });
  }

  /** Every connection that can be pushed to, by id; includes those whose connect hook is still running. */
  get connections(): ReadonlyMap<string, Connection> {
    return this.#connections;
  }

  /** @returns the port it listens on. @throws when the port is not available. */
  async listen(port: number, host?: string): Promise<number> {
    const actual = await this.#listener.listen(port, host);
    this.#heartbeat.start();
    this.#memory.start();
    return actual;
  }

  /** Resolves when there is no connection, and no upgrade that could become one. */
  empty(): Promise<void> {
    if (this.isEmpty) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }

  /** Ends what is left, including upgrades that wait for a hook, and stops listening. */
  async stop(): Promise<void> {
    this.#heartbeat.stop();
    this.#memory.stop();
    for (const connection of this.#connections.values()) connection.terminate();
    // They report how they ended in the turns that follow.
    await within(terminateMs, this.empty());
    for (const connection of this.#connections.values()) {
      this.#ended(connection, { closeCode: closeCodes.abnormal, reason: 'the gateway stopped', by: 'gateway' });
    }
    for (const socket of this.#unanswered) refuse(socket, new HydrogenError('HYD_DRAINING'));
    await this.#listener.stop();
  }

  /** True when there is no connection, and no upgrade that could become one. */
  get isEmpty(): boolean {
    return this.#connections.size + this.#upgrades === 0;
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const remoteAddress = this.#proxies.clientAddress(request.socket.remoteAddress ?? '', request.headers);
    const upgrade = new Upgrade(request, socket, head, remoteAddress);
    this.#upgrades += 1;
    this.#unanswered.add(socket);
    try {
      await this.#admit(upgrade);
    } catch (error) {
      this.#refuse(upgrade, error);
    } finally {
      upgrade.answered();
      this.#unanswered.delete(socket);
    }
  }

  /** @throws {HydrogenError} to refuse */
  async #admit(upgrade: Upgrade): Promise<void> {
    const { request } = upgrade;
    const { limits } = this.#policy.current;
    this.#addresses.enter(upgrade);
    const handshake = readHandshake(request, upgrade.remoteAddress, this.#policy.current);
    this.#assertWelcome(handshake.endpoint);
    if (this.#unanswered.size > limits.maxPendingHandshakes) throw new HydrogenError('HYD_TOO_MANY_HANDSHAKES');
    if (this.#connections.size + this.#upgrades > limits.maxConnections) {
      throw new HydrogenError('HYD_TOO_MANY_CONNECTIONS');
    }
    const connection = new Connection({
      id: `${this.#instanceId}-${randomBytes(16).toString('hex')}`,
      endpoint: handshake.endpoint,
      remoteAddress: handshake.remoteAddress,
      policy: this.#policy,
    });
    upgrade.connection = connection;
    const admission = await this.#handlers.authorize(connection, handshake, upgrade.left);
    if (upgrade.left.aborted) throw new HydrogenError('HYD_CLIENT_LEFT');
    this.#admitted(connection, handshake, admission);
    this.#connections.set(connection.id, connection);
    this.#handlers.registered(connection);
    this.#addresses.pass(upgrade, connection);
    this.#upgrades -= 1;
    upgrade.stage = 'registered';
    await this.#handlers.connect(connection);
    upgrade.stage = 'connected';
    this.#assertWelcome(handshake.endpoint);
    this.#open(connection, upgrade);
  }

  #admitted(connection: Connection, handshake: Handshake, admission: Admission): void {
    const policy = this.#policy.current;
    const { context, user, channels, validMs, subprotocol } = admission;
    connection.context = context;
    connection.user = user;
    if (channels !== undefined) connection.channels = channels;
    connection.subprotocol = subprotocol ?? chooseSubprotocol(handshake.subprotocols, policy.subprotocols);
    const { endsAtMs, endsWith } = endOf(validMs, policy, performance.now());
    connection.endsAtMs = endsAtMs;
    connection.endsWith = endsWith;
  }

  #assertWelcome(endpoint: string): void {
    const refusal = this.#handlers.refusal(endpoint);
    if (refusal !== undefined) throw refusal;
    if (this.#memory.isFull) throw new HydrogenError('HYD_MEMORY_EXHAUSTED');
  }

  #refuse(upgrade: Upgrade, error: unknown): void {
    const { socket, remoteAddress, startedAtMs, connection, stage } = upgrade;
    this.#addresses.leave(upgrade);
    if (connection !== undefined) connection.state = 'closed';
    if (stage === 'checking') {
      this.#upgrades -= 1;
    } else if (connection !== undefined && this.#remove(connection) && stage === 'connected') {
      this.#handlers.disconnected(connection, {
        closeCode: closeCodes.abnormal,
        reason: String(error),
        by: 'gateway',
      });
    }
    this.#checkEmpty();
    if (!(error instanceof HydrogenError)) {
      refuse(socket, new HydrogenError('HYD_INTERNAL'));
      this.#handlers.failed(error);
      return;
    }
    refuse(socket, error);
    this.#handlers.refused(error, {
      path: upgrade.path,
      remoteAddress,
      durationMs: performance.now() - startedAtMs,
    });
  }

  #open(connection: Connection, upgrade: Upgrade): void {
    const { closure } = connection;
    // A service may have closed it while its connect hook ran: the client still gets the code and the reason.
    connection.closure = undefined;
    this.#accept(connection, upgrade);
    if (closure !== undefined) connection.close(closure);
  }

  #accept(connection: Connection, { request, socket, head }: Upgrade): void {
    this.#acceptor.options.maxPayload = this.#policy.current.limits.maxMessageBytes;
    if (connection.subprotocol !== '') this.#subprotocols.set(request, connection.subprotocol);
    let websocket: ClientSocket | undefined;
    if (socket.readable && socket.writable) {
      this.#acceptor.handleUpgrade(request, socket, head, (accepted) => {
        websocket = accepted;
      });
    }
    if (websocket === undefined) {
      socket.destroy();
      const reason = 'the client left during the handshake';
      this.#ended(connection, { closeCode: closeCodes.abnormal, reason, by: 'network' });
      return;
    }
    this.#attach(connection, websocket);
    socket.on('data', (chunk: Buffer) => this.#memory.read(chunk.length));
    const throttle = new Throttle(connection, this.#policy);
    connection.open(websocket, socket, (data, isBinary) => {
      if (connection.closure === undefined) throttle.take();
      this.#handlers.message(connection, data, isBinary);
    });
    this.#handlers.opened(connection);
  }

  #attach(connection: Connection, websocket: ClientSocket): void {
    const pongs = new Pongs(websocket);
    websocket.on('pong', (data) => connection.sawControlFrame(data.length));
    websocket.on('ping', (data) => {
      connection.sawControlFrame(data.length);
      pongs.answer(data);
    });
    websocket.on('error', (error: Error & { code?: string }) => connection.failed(closureOf(error)));
    websocket.on('close', (closeCode, reason) => {
      const by = closeCode === closeCodes.abnormal ? 'network' : 'client';
      this.#ended(connection, connection.closure ?? { closeCode, reason: reason.toString(), by });
    });
  }

  #ended(connection: Connection, closure: Closure): void {
    connection.ended(closure);
    if (!this.#remove(connection)) return;
    this.#handlers.disconnected(connection, closure);
    this.#checkEmpty();
  }

  /** Returns false when it was removed before. */
  #remove(connection: Connection): boolean {
    if (!this.#connections.delete(connection.id)) return false;
    this.#addresses.leave(connection);
    this.#handlers.removed(connection);
    return true;
  }

  #checkEmpty(): void {
    if (this.#onEmpty.length === 0 || !this.isEmpty) return;
    const waiting = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of waiting) resolve();
  }
}
