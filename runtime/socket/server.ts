/**
 * Turns upgrade requests into connections and keeps them: handshake, limits, authorizer, connect hook, register, open;
 * then messages in, closures out. Knows nothing of the bus or of HTTP services: `deps` are asked, in that order.
 *
 * Guarantees: no socket is opened before `authorize` and `connect` said yes; `disconnected` is called exactly once for
 * every connection for which `connect` said yes; messages of a connection arrive in the client's order.
 */

import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { closeCodes } from '../close.ts';
import { HydrogenError } from '../errors.ts';
import { type Closure, Connection } from './connection.ts';
import { type Handshake, type HandshakePolicy, readHandshake } from './handshake.ts';
import { createHeartbeat, type HeartbeatPolicy } from './heartbeat.ts';
import { errorBody, refuse } from './refusal.ts';
import { createThrottle } from './throttle.ts';

/** Read anew at each use, so that a changed configuration applies at once. */
export interface SocketPolicy extends HandshakePolicy {
  readonly subprotocols?: readonly string[] | undefined;
  readonly heartbeat: HeartbeatPolicy;
  readonly limits: {
    /** Of one client message; applies to connections opened after a change. */
    readonly maxMessageBytes: number;
    readonly maxConnections: number;
    readonly maxBufferedBytes: number;
    /** 0: no limit. Above it, reading is held: the client is slowed down, nothing is lost. */
    readonly messagesPerSecond: number;
  };
}

export interface Admission {
  readonly context: Readonly<Record<string, unknown>>;
  /** One of the offered subprotocols. */
  readonly subprotocol?: string | undefined;
}

export interface SocketDeps {
  /** Undefined: upgrades are welcome. Otherwise why they are not, for this endpoint. */
  refusal(endpoint: string): HydrogenError | undefined;
  /** @throws {HydrogenError} to refuse. */
  authorize(connection: Connection, handshake: Handshake): Promise<Admission>;
  /** Called when the connection can already be pushed to. @throws {HydrogenError} to refuse. */
  connect(connection: Connection): Promise<void>;
  opened(connection: Connection): void;
  message(connection: Connection, data: Buffer, isBinary: boolean): void;
  disconnected(connection: Connection, closure: Closure): void;
  refused(error: HydrogenError, request: { path: string; remoteAddress: string; durationMs: number }): void;
  /** A failure that is a bug or of the system, not of the client. */
  failed(error: unknown): void;
}

export interface SocketServer {
  /** Every connection that can be pushed to, by id; includes those whose connect hook is still running. */
  readonly connections: ReadonlyMap<string, Connection>;
  /** Connections and upgrades under way: what `maxConnections` bounds. */
  readonly count: number;
  /** @returns the port it listens on. @throws when the port can't be had. */
  listen(port: number, host?: string): Promise<number>;
  /** Ends what is left and stops listening. */
  stop(): Promise<void>;
}

/** Milliseconds that a client gets to answer a close frame before it is cut off. */
const closeTimeoutMs = 10_000;

/** Turns of 10 ms in which terminated sockets say how they ended. */
const stopTurns = 50;

/** @param instanceId first part of every connection id, `[a-z0-9]+`. */
export function createSocketServer(instanceId: string, policy: () => SocketPolicy, deps: SocketDeps): SocketServer {
  const connections = new Map<string, Connection>();
  const chosenSubprotocol = new WeakMap<IncomingMessage, string>();
  let underway = 0;

  // The types of ws lag behind it: they do not know closeTimeout.
  const options: ServerOptions & { closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    closeTimeout: closeTimeoutMs,
    handleProtocols: (_offered, request) => chosenSubprotocol.get(request) ?? false,
  };
  const acceptor = new WebSocketServer(options);
  const server = createServer((_request, response) => {
    const error = new HydrogenError('HYD_UPGRADE_REQUIRED');
    response.writeHead(426, { 'content-type': 'application/json', upgrade: 'websocket', connection: 'close' });
    response.end(errorBody(error));
  });
  server.on('upgrade', (request, socket, head) => {
    admit(request, socket, head).catch((error) => {
      refuse(socket, new HydrogenError('HYD_INTERNAL'));
      deps.failed(error);
    });
  });
  const heartbeat = createHeartbeat(
    { [Symbol.iterator]: () => connections.values() },
    () => policy().heartbeat,
    (connection) => {
      const reason = 'no sign of life';
      connection.close({ code: closeCodes.abnormal, reason, by: 'network', error: 'HYD_HEARTBEAT_TIMEOUT' });
    },
  );

  async function admit(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const startedAtMs = performance.now();
    socket.on('error', () => socket.destroy());
    underway += 1;
    let connection: Connection | undefined;
    let isConnected = false;
    try {
      const handshake = readHandshake(request, policy());
      const refusal = deps.refusal(handshake.endpoint);
      if (refusal !== undefined) throw refusal;
      if (connections.size + underway > policy().limits.maxConnections) {
        throw new HydrogenError('HYD_TOO_MANY_CONNECTIONS');
      }
      connection = new Connection({
        id: `${instanceId}-${randomBytes(16).toString('hex')}`,
        endpoint: handshake.endpoint,
        remoteAddress: handshake.remoteAddress,
        maxBufferedBytes: () => policy().limits.maxBufferedBytes,
      });
      const admission = await deps.authorize(connection, handshake);
      if (socket.destroyed) throw new HydrogenError('HYD_CLIENT_LEFT');
      connection.context = admission.context;
      connection.subprotocol = chooseSubprotocol(handshake, admission, policy());
      connections.set(connection.id, connection);
      underway -= 1;
      await deps.connect(connection);
      isConnected = true;
      const refusedMeanwhile = deps.refusal(handshake.endpoint);
      if (refusedMeanwhile !== undefined) throw refusedMeanwhile;
      open(connection, request, socket, head);
    } catch (error) {
      if (connection === undefined || !connections.delete(connection.id)) underway -= 1;
      if (connection !== undefined) connection.state = 'closed';
      if (connection !== undefined && isConnected) {
        deps.disconnected(connection, { code: closeCodes.abnormal, reason: String(error), by: 'gateway' });
      }
      if (!(error instanceof HydrogenError)) throw error;
      refuse(socket, error);
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const remoteAddress = request.socket.remoteAddress ?? '';
      deps.refused(error, { path, remoteAddress, durationMs: performance.now() - startedAtMs });
    }
  }

  function open(connection: Connection, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (connection.closure !== undefined) {
      // A service ended it while its connect hook ran: the client still gets the code and the reason.
      const { closure } = connection;
      connection.closure = undefined;
      acceptUpgrade(connection, request, socket, head);
      connection.close(closure);
      return;
    }
    acceptUpgrade(connection, request, socket, head);
  }

  function acceptUpgrade(connection: Connection, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    acceptor.options.maxPayload = policy().limits.maxMessageBytes;
    if (connection.subprotocol !== '') chosenSubprotocol.set(request, connection.subprotocol);
    let websocket: WebSocket | undefined;
    if (socket.readable && socket.writable) {
      acceptor.handleUpgrade(request, socket, head, (accepted) => {
        websocket = accepted;
      });
    }
    if (websocket === undefined) {
      socket.destroy();
      ended(connection, { code: closeCodes.abnormal, reason: 'the client left during the handshake', by: 'network' });
      return;
    }
    attach(connection, websocket);
    connection.open(websocket);
    deps.opened(connection);
  }

  function attach(connection: Connection, websocket: WebSocket): void {
    const admitMessage = createThrottle(connection, () => policy().limits.messagesPerSecond);
    websocket.on('message', (data, isBinary) => {
      connection.lastSeenMs = Date.now();
      if (connection.isDiscarding) return;
      admitMessage();
      deps.message(connection, data as Buffer, isBinary);
    });
    const alive = (): void => {
      connection.lastSeenMs = Date.now();
    };
    websocket.on('pong', alive);
    websocket.on('ping', alive);
    websocket.on('error', (error: Error & { code?: string }) => {
      connection.closure ??= closureOf(error);
      connection.state = 'closing';
    });
    websocket.on('close', (code, reason) => {
      const by = code === closeCodes.abnormal ? 'network' : 'client';
      ended(connection, connection.closure ?? { code, reason: reason.toString(), by });
    });
  }

  function ended(connection: Connection, closure: Closure): void {
    connection.state = 'closed';
    connection.closure ??= closure;
    if (connections.delete(connection.id)) deps.disconnected(connection, closure);
  }

  return {
    connections,
    get count() {
      return connections.size + underway;
    },
    async listen(port, host) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host, backlog: 4096 }, () => {
          server.off('error', reject);
          server.on('error', deps.failed);
          resolve();
        });
      });
      heartbeat.start();
      return (server.address() as AddressInfo).port;
    },
    async stop() {
      heartbeat.stop();
      for (const connection of connections.values()) connection.terminate();
      // Their closures are told in the turns that follow.
      for (let turn = 0; connections.size > 0 && turn < stopTurns; turn++)
        await new Promise((resolve) => setTimeout(resolve, 10));
      for (const connection of connections.values()) {
        ended(connection, { code: closeCodes.abnormal, reason: 'the gateway stopped', by: 'gateway' });
      }
      if (!server.listening) return;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** The authorizer's choice, else the first of ours that was offered; with none of ours configured, the client's first. */
function chooseSubprotocol(handshake: Handshake, admission: Admission, policy: SocketPolicy): string {
  if (admission.subprotocol !== undefined) return admission.subprotocol;
  if (policy.subprotocols === undefined) return handshake.subprotocols[0] ?? '';
  return policy.subprotocols.find((name) => handshake.subprotocols.includes(name)) ?? '';
}

/** ws closes the connection itself after a protocol error; this says with which code. */
function closureOf(error: Error & { code?: string }): Closure {
  const reason = error.message;
  switch (error.code) {
    case 'WS_ERR_TOO_MANY_BUFFERED_PARTS':
      return { code: closeCodes.policyViolation, reason, by: 'gateway', error: 'HYD_PROTOCOL_ERROR' };
    case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
      return { code: closeCodes.messageTooBig, reason, by: 'gateway', error: 'HYD_MESSAGE_TOO_LARGE' };
    case 'WS_ERR_INVALID_UTF8':
      return { code: closeCodes.invalidPayload, reason, by: 'gateway', error: 'HYD_INVALID_UTF8' };
    default:
      return error.code?.startsWith('WS_ERR_')
        ? { code: closeCodes.protocolError, reason, by: 'gateway', error: 'HYD_PROTOCOL_ERROR' }
        : { code: closeCodes.abnormal, reason, by: 'network' };
  }
}
