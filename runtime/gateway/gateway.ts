/**
 * A gateway: client sockets on one side, the bus on the other, services asked and told over HTTP in between. This file
 * composes; what each part does is in `socket/`, `bus/` and `http/`.
 */

import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { busGroup } from '../../crds/contract.ts';
import { createProbeServer } from '../../process/probes.ts';
import type { Bus } from '../bus/port/bus.ts';
import type { Lease } from '../bus/port/leases.ts';
import { HydrogenError } from '../errors.ts';
import { createHttpClient } from '../http/client/client.ts';
import { decodeBroadcast, decodeRequest, encodeAnswer, type OwnerRequest } from '../peers/codec.ts';
import { createPush } from '../peers/push.ts';
import { type GatewayConfig, restartFields } from '../role/live-config.ts';
import { createLog } from '../role/log.ts';
import { createGatewayCounts, createGatewayRegistry } from '../role/metrics.ts';
import type { Secrets } from '../role/secrets.ts';
import { createStatistics } from '../role/statistics.ts';
import type { Connection } from '../socket/connection.ts';
import { createSocketServer } from '../socket/server.ts';
import { createDrain } from './drain.ts';
import { createGatewayHooks } from './hooks.ts';
import { closeFor, createIntake } from './intake.ts';
import { createGatewayManagement } from './management.ts';
import { createOwner } from './owner.ts';

export interface GatewayPorts {
  readonly client: number;
  readonly management: number;
  readonly probes: number;
}

export interface GatewayDeps {
  /** Not started yet; the gateway starts and stops it. */
  readonly bus: Bus;
  readonly secrets: Secrets;
  readonly logger: Logger;
  /** 0: any free port. */
  readonly ports: GatewayPorts;
  /** Address to listen on; default: every one. */
  readonly host?: string | undefined;
  /** Base URL of the management API for destinations; `spec.management.callbackUrl` goes before it. */
  readonly callbackUrl?: string | undefined;
  readonly version: string;
}

export interface Gateway {
  readonly instanceId: string;
  /** The ports it listens on, once started. */
  readonly ports: GatewayPorts;
  /** Undefined when it can serve clients; otherwise why not. */
  notReadyReason(): string | undefined;
  /** Resolves when it listens; ready comes later, when the bus is. @throws when a port can't be had. */
  start(): Promise<void>;
  /** Takes a new configuration over without touching connections; what needs a restart is logged and left. */
  reconfigure(config: GatewayConfig): void;
  /**
   * Drains and stops: see docs/architecture.md. Never rejects. @param signal for the log.
   * @param maxDrainMs shortens `drain.periodSeconds`.
   */
  stop(signal?: string, maxDrainMs?: number): Promise<void>;
}

/** Milliseconds that the owner of a connection gets to answer. */
const pushTimeoutMs = 5_000;
const readinessPollMs = 250;

export function createGateway(initial: GatewayConfig, deps: GatewayDeps): Gateway {
  let config = initial;
  const spec = (): GatewayConfig['gateway']['spec'] => config.gateway.spec;
  const { bus } = deps;
  const { name, namespace } = initial.gateway.metadata;
  const groupId = busGroup(namespace, initial.group.metadata.name);
  const instanceId = randomBytes(6).toString('hex');
  const log = createLog(deps.logger, { gateway: `${namespace}/${name}`, group: groupId, instanceId });
  const counts = createGatewayCounts();
  const client = createHttpClient();
  const callbackUrl = (): string => spec().management.callbackUrl ?? deps.callbackUrl ?? '';
  const hooks = createGatewayHooks({
    client,
    secrets: deps.secrets,
    callbackUrl,
    groupId,
    instanceId,
    log,
    counts,
    spec,
  });
  const intake = createIntake({ messages: bus.messages, instanceId, groupId, callbackUrl, log, counts, spec });
  let ports = deps.ports;
  let phase: 'new' | 'serving' | 'draining' | 'stopped' = 'new';
  let lease: Lease | undefined;
  let wasReady = false;
  let readiness: NodeJS.Timeout | undefined;

  const sockets = createSocketServer(instanceId, spec, {
    refusal,
    authorize: hooks.authorize,
    connect: hooks.connect,
    opened(connection) {
      intake.open(connection);
      counts.opened.add(connection.endpoint);
      const { id: connectionId, endpoint, remoteAddress } = connection;
      log.connectionOpened({ connectionId, endpoint, remoteAddress });
    },
    message: (connection, data, isBinary) => intake.take(connection, data, isBinary),
    disconnected(connection, closure) {
      if (connection.wasOpen) counts.closed.add(String(closure.code));
      log.connectionClosed({
        connectionId: connection.id,
        endpoint: connection.endpoint,
        closeCode: closure.code,
        reason: closure.reason,
        by: closure.by,
        code: closure.error,
        connectedSeconds: (Date.now() - connection.createdAtMs) / 1000,
      });
      hooks.disconnected(connection, closure);
    },
    refused(error, { path, remoteAddress, durationMs }) {
      counts.refused.add(error.code);
      log.upgradeRefused({
        code: error.code,
        path,
        remoteAddress,
        durationMs: Math.round(durationMs),
        detail: error.message,
      });
    },
    failed: log.failed,
  });
  const { connections } = sockets;
  const owner = createOwner(sockets, counts, instanceId, () => spec().limits.maxBufferedBytes);
  const push = createPush(bus, pushTimeoutMs, { instanceId, owner });
  const registry = createGatewayRegistry(counts, {
    connections: () => countByEndpoint(connections.values()),
    unacknowledged: () => bus.messages.unacknowledged,
    isBusUp: () => bus.status === 'up',
    isPressed: () => bus.messages.isPressed,
  });
  const probes = createProbeServer({ notReadyReason, registry });
  const management = createGatewayManagement({
    peers: bus.peers,
    push,
    secrets: deps.secrets,
    spec: () => spec().management,
    notReadyReason,
    onError: log.failed,
  });
  const drain = createDrain(sockets, bus.messages, () => spec().hooks.connect?.timeoutSeconds ?? 0);
  const statistics = createStatistics(
    () => ({
      opened: counts.opened.total,
      closed: counts.closed.total,
      refused: counts.refused.total,
      messagesIn: counts.received.total,
      bytesIn: counts.receivedBytes.total,
      messagesOut: counts.sent.total,
      bytesOut: counts.sentBytes.total,
    }),
    () => ({
      connections: connections.size,
      inFlightMessages: bus.messages.unacknowledged.messages,
      inFlightBytes: bus.messages.unacknowledged.bytes,
    }),
    log.statistics,
  );

  /** Why an upgrade to this endpoint is not welcome now. */
  function refusal(endpoint: string): HydrogenError | undefined {
    if (phase !== 'serving') return new HydrogenError('HYD_DRAINING');
    if (bus.status !== 'up') return new HydrogenError('HYD_NOT_READY', 'the bus is down');
    if (lease?.isHeld !== true) return new HydrogenError('HYD_NOT_READY', 'the lease of this instance is not held');
    if (spec().mode === 'Bidirectional' && !bus.messages.isConsumed(endpoint)) {
      return new HydrogenError('HYD_NOT_READY', `no message processor consumes ${endpoint}`);
    }
    return undefined;
  }

  function notReadyReason(): string | undefined {
    const refusals = spec().endpoints.map(({ path }) => refusal(path));
    return refusals.every((error) => error !== undefined) ? refusals[0]?.message : undefined;
  }

  function onReadinessChange(): void {
    if (phase !== 'serving') return;
    const reason = notReadyReason();
    if (reason === undefined && !wasReady) log.ready();
    if (reason !== undefined && wasReady) log.notReady({ reason });
    wasReady = reason === undefined;
  }

  function holdLease(): void {
    lease = bus.leases.hold(instanceId, () => {
      log.leaseLost({ connections: connections.size });
      for (const connection of connections.values()) closeFor(connection, 'HYD_BUS_UNREACHABLE');
    });
  }

  async function answer(payload: Uint8Array): Promise<Uint8Array> {
    const request: OwnerRequest | undefined = decodeRequest(payload);
    if (request === undefined) {
      log.peerUnreadable({ kind: 'request', bytes: payload.byteLength });
      return encodeAnswer('invalid');
    }
    const { status, data } = await owner(request);
    return encodeAnswer(status, data);
  }

  function onBroadcast(payload: Uint8Array): void {
    const broadcast = decodeBroadcast(payload);
    if (broadcast === undefined) log.peerUnreadable({ kind: 'broadcast', bytes: payload.byteLength });
    else owner.broadcast(broadcast);
  }

  return {
    instanceId,
    get ports() {
      return ports;
    },
    notReadyReason,
    async start() {
      bus.messages.onPressure((isPressed) => intake.setPressure(connections.values(), isPressed));
      bus.messages.onConsumers(onReadinessChange);
      bus.onStatus((status, err) => {
        if (status === 'up') log.busUp();
        else if (status === 'down') log.busDown({ err });
        onReadinessChange();
      });
      bus.peers.onBroadcast(onBroadcast);
      bus.peers.serve(instanceId, answer);
      ports = {
        probes: await probes.listen(deps.ports.probes, deps.host),
        management: await management.listen(deps.ports.management, deps.host),
        client: await sockets.listen(deps.ports.client, deps.host),
      };
      phase = 'serving';
      log.started({ version: deps.version, ports: { ...ports } });
      statistics.schedule(spec().statsIntervalSeconds);
      await bus.start();
      holdLease();
      readiness = setInterval(onReadinessChange, readinessPollMs);
      readiness.unref();
      onReadinessChange();
    },
    reconfigure(next) {
      if (isDeepStrictEqual(next, config)) return;
      const fields = restartFields(initial, next);
      if (fields.length > 0) log.configNeedsRestart({ fields });
      config = next;
      log.configTaken();
      statistics.schedule(spec().statsIntervalSeconds);
      onReadinessChange();
    },
    async stop(signal = 'stop', maxDrainMs = Number.POSITIVE_INFINITY) {
      if (phase === 'draining' || phase === 'stopped') return;
      const startedAtMs = performance.now();
      phase = 'draining';
      const periodSeconds = Math.min(spec().drain.periodSeconds, maxDrainMs / 1000);
      log.stopping({ signal, connections: connections.size, periodSeconds });
      statistics.stop();
      clearInterval(readiness);
      await drain(periodSeconds * 1000);
      await sockets.stop();
      const unsavedMessages = bus.messages.unacknowledged.messages;
      if (unsavedMessages > 0) log.messagesUnsaved({ unsavedMessages });
      const unfinishedHooks = await hooks.finish();
      await lease?.release();
      await Promise.all([management.stop(), bus.stop()]);
      await client.close();
      await probes.stop();
      phase = 'stopped';
      log.stopped({ unsavedMessages, unfinishedHooks, durationMs: Math.round(performance.now() - startedAtMs) });
    },
  };
}

function countByEndpoint(connections: Iterable<Connection>): Map<string, number> {
  const byEndpoint = new Map<string, number>();
  for (const { endpoint } of connections) byEndpoint.set(endpoint, (byEndpoint.get(endpoint) ?? 0) + 1);
  return byEndpoint;
}
