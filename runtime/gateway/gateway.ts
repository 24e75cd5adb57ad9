/**
 * A gateway: client sockets on one side, the bus on the other, services called over HTTP in between. This file composes
 * the parts, which are in `socket/`, `bus/`, `http/` and the other files of this folder.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { exitMarginMs, gatewayGraceSeconds } from '../../crds/grace.ts';
import type { HydrogenGatewaySpec } from '../../crds/index.ts';
import { Occasionally } from '../../process/occasionally.ts';
import { ProbeServer } from '../../process/probes.ts';
import { Deadline, within } from '../../process/timing.ts';
import type { Bus } from '../bus/port/bus.ts';
import type { Lease } from '../bus/port/leases.ts';
import { HydrogenError } from '../errors.ts';
import { createHttpClient, type HttpClient } from '../http/client/client.ts';
import { type AuditLine, ManagementServer } from '../http/management/server.ts';
import { signerOf } from '../http/services/signer.ts';
import { createPush } from '../peers/push.ts';
import type { Reconfigured } from '../role/config-report.ts';
import { type GatewayConfig, restartFields } from '../role/documents.ts';
import { LiveConfig } from '../role/live-config.ts';
import { createRoleLog, type RoleLog } from '../role/log.ts';
import { GatewayMetrics } from '../role/metrics.ts';
import { Readiness } from '../role/readiness.ts';
import type { MountedSecrets } from '../role/secrets.ts';
import { Statistics } from '../role/statistics.ts';
import { type Closure, closureFor } from '../socket/closure.ts';
import type { Connection } from '../socket/connection.ts';
import { SocketServer, terminateMs } from '../socket/server.ts';
import { drain } from './drain.ts';
import { GatewayHooks } from './hooks.ts';
import { GatewayIdentity } from './identity.ts';
import { Intake } from './intake.ts';
import { createConnectionsApi, managementAccess } from './management.ts';
import { GatewayPeers } from './peers.ts';
import { GatewayTokens } from './tokens.ts';

export interface GatewayPorts {
  readonly client: number;
  readonly management: number;
  readonly probes: number;
}

export interface GatewayDeps {
  /** Not started yet; the gateway starts and stops it. */
  readonly bus: Bus;
  readonly secrets: MountedSecrets;
  readonly logger: Logger;
  /** 0: any free port. */
  readonly ports: GatewayPorts;
  /** Address to listen on; default: every one. */
  readonly host?: string | undefined;
  /** Base URL of the management API for destinations; `spec.management.callbackUrl` takes precedence. */
  readonly callbackUrl?: string | undefined;
  readonly version: string;
}

/** Milliseconds that the owner of a connection has to answer. */
const pushTimeoutMs = 5_000;
/** Milliseconds that disconnect hooks have when the gateway stops. */
const finishHooksMs = 5_000;
/** Milliseconds of the stop that are kept for closing the connection to the bus, which flushes for up to a second. */
const stopBusMs = 1_500;

/** Milliseconds between two log lines about refused calls of the management API. */
const refusedCallLogMs = 1_000;
/** Milliseconds between two log lines about clients that were cut. */
const droppedLogMs = 60_000;

export class Gateway {
  readonly readiness: Readiness;
  readonly #deps: GatewayDeps;
  readonly #initial: GatewayConfig;
  readonly #spec: LiveConfig<HydrogenGatewaySpec>;
  readonly #identity: GatewayIdentity;
  readonly #log: RoleLog;
  readonly #metrics: GatewayMetrics;
  readonly #http: HttpClient = createHttpClient();
  readonly #hooks: GatewayHooks;
  readonly #intake: Intake;
  readonly #sockets: SocketServer;
  readonly #peers: GatewayPeers;
  readonly #management: ManagementServer;
  readonly #probes: ProbeServer;
  readonly #statistics: Statistics;
  readonly #dropped = new Occasionally(droppedLogMs);
  readonly #refusedCalls = new Occasionally(refusedCallLogMs);
  #config: GatewayConfig;
  #ports: GatewayPorts;
  #state: 'new' | 'serving' | 'stopping' = 'new';
  #lease: Lease | undefined;

  constructor(config: GatewayConfig, deps: GatewayDeps) {
    const { bus, secrets } = deps;
    this.#deps = deps;
    this.#initial = config;
    this.#config = config;
    this.#ports = deps.ports;
    this.#spec = new LiveConfig(config.gateway.spec);
    this.#identity = new GatewayIdentity(config, this.#spec, deps.callbackUrl ?? '');
    const spec = this.#spec;
    const identity = this.#identity;
    const { gateway, groupId: group, instanceId } = identity;
    const log = createRoleLog(deps.logger, { gateway, group, instanceId });
    const metrics = new GatewayMetrics({
      connections: () => countByEndpoint(this.#sockets.connections.values()),
      unacknowledged: () => bus.messages.unacknowledged,
      isBusUp: () => bus.status === 'up',
      isPressed: () => bus.messages.isPressed,
      held: () => this.#intake.held(),
      memberships: () => this.#peers.memberships,
    });
    this.#log = log;
    this.#metrics = metrics;
    this.readiness = new Readiness(() => this.#notReadyReason(), log);
    const calls = { spec, http: this.#http, secrets, log, metrics };
    const signer = signerOf(config.group, (ref) => secrets.read(ref));
    this.#hooks = new GatewayHooks({ ...calls, identity, signer, tokens: new GatewayTokens(calls) });
    this.#intake = new Intake({ identity, spec, messages: bus.messages, log, metrics });
    this.#sockets = this.#createSockets();
    this.#peers = new GatewayPeers({
      bus,
      identity,
      spec,
      sockets: this.#sockets,
      metrics,
      log,
      isAlive: () => this.#lease?.isHeld === true,
    });
    this.#management = this.#createManagement();
    this.#probes = new ProbeServer({ notReadyReason: () => this.readiness.reason, registry: metrics.registry });
    this.#statistics = new Statistics(
      () => metrics.totals(),
      () => this.#gauges(),
      log.statistics,
    );
    spec.onChange(({ statsIntervalSeconds }) => this.#statistics.schedule(statsIntervalSeconds));
    spec.onChange(() => {
      this.#intake.review();
      this.readiness.update();
    });
  }

  /** First part of the id of every connection. */
  get instanceId(): string {
    return this.#identity.instanceId;
  }

  /** The ports it listens on, once started. */
  get ports(): GatewayPorts {
    return this.#ports;
  }

  /** Resolves when it listens; it becomes ready later, once the bus is. @throws when a port is not available. */
  async start(): Promise<void> {
    const { bus, ports, host, version } = this.#deps;
    this.#listenToBus();
    this.#ports = {
      probes: await this.#probes.listen(ports.probes, host),
      management: await this.#management.listen(ports.management, host),
      client: await this.#sockets.listen(ports.client, host),
    };
    this.#state = 'serving';
    this.#log.started({ version, ports: { ...this.#ports } });
    const { tokenSecretRef, tokens } = this.#spec.current.management;
    if (tokenSecretRef === undefined && tokens === undefined) this.#log.managementOpen();
    this.#statistics.schedule(this.#spec.current.statsIntervalSeconds);
    await bus.start();
    this.#lease = bus.leases.hold(
      this.instanceId,
      () => this.#onLeaseLost(),
      () => this.#onLeaseHeld(),
    );
    this.readiness.update();
  }

  /**
   * Applies a new configuration without touching connections; fields that need a restart are logged and keep their
   * values.
   */
  reconfigure(next: GatewayConfig): Reconfigured {
    const fields = restartFields(this.#initial, next);
    const taken = { kind: 'taken', needsRestart: fields } as const;
    if (isDeepStrictEqual(next, this.#config)) return taken;
    if (fields.length > 0) this.#log.configNeedsRestart({ fields });
    this.#config = next;
    this.#log.configTaken();
    this.#spec.replace(next.gateway.spec);
    return taken;
  }

  /**
   * Drains and stops within the grace period that manifests grant, whatever the bus and the services do. See
   * docs/architecture.md. Never rejects. @param signal for the log. @param maxDrainMs shortens `drain.periodSeconds`.
   */
  async stop(signal = 'stop', maxDrainMs = Number.POSITIVE_INFINITY): Promise<void> {
    if (this.#state === 'stopping') return;
    const startedAtMs = performance.now();
    const { bus } = this.#deps;
    const spec = this.#spec.current;
    const periodMs = Math.min(spec.drain.periodSeconds * 1000, maxDrainMs);
    const graceMs = gatewayGraceSeconds({ drain: { periodSeconds: periodMs / 1000 } }) * 1000;
    const deadline = new Deadline(graceMs - exitMarginMs);
    this.#state = 'stopping';
    this.#log.stopping({ signal, connections: this.#sockets.connections.size, periodSeconds: periodMs / 1000 });
    this.readiness.end();
    this.#statistics.stop();
    const parts = { sockets: this.#sockets, intake: this.#intake };
    const drainDeadline = new Deadline(deadline.remainingMs() - this.#afterDrainMs);
    const thrownAway = await drain(parts, periodMs, (spec.hooks.connect?.timeoutSeconds ?? 0) * 1000, drainDeadline);
    await this.#sockets.stop();
    this.#peers.leave();
    const unsavedMessages = thrownAway + bus.messages.unacknowledged.messages;
    if (unsavedMessages > 0) this.#log.messagesUnsaved({ unsavedMessages });
    const beforeBusMs = (): number => Math.max(0, deadline.remainingMs() - stopBusMs);
    const unfinishedHooks = await this.#hooks.finish(Math.min(finishHooksMs, beforeBusMs()));
    await within(beforeBusMs(), this.#lease?.release() ?? Promise.resolve());
    await within(deadline.remainingMs(), Promise.all([this.#management.stop(), bus.stop()]));
    await within(deadline.remainingMs(), this.#http.close());
    await this.#probes.stop();
    const durationMs = Math.round(performance.now() - startedAtMs);
    this.#log.stopped({ unsavedMessages, unfinishedHooks, durationMs });
  }

  /** Milliseconds of a stop that are kept for what comes after the drain. */
  get #afterDrainMs(): number {
    const hooksMs = this.#spec.current.hooks.disconnect === undefined ? 0 : finishHooksMs;
    return terminateMs + hooksMs + stopBusMs;
  }

  #createSockets(): SocketServer {
    return new SocketServer(this.instanceId, this.#spec, {
      refusal: (endpoint) => this.#refusal(endpoint),
      authorize: (connection, handshake, signal) => this.#hooks.authorize(connection, handshake, signal),
      registered: (connection) => this.#peers.add(connection),
      removed: (connection) => this.#peers.remove(connection),
      connect: (connection) => this.#hooks.connect(connection),
      opened: (connection) => this.#onOpened(connection),
      message: (connection, data, isBinary) => this.#intake.take(connection, data, isBinary),
      disconnected: (connection, closure) => this.#onDisconnected(connection, closure),
      refused: (error, request) => this.#onRefused(error, request),
      memoryExhausted: this.#log.memoryExhausted,
      dropped: () => this.#onDropped(),
      failed: this.#log.failed,
    });
  }

  #createManagement(): ManagementServer {
    const { bus, secrets } = this.#deps;
    const push = createPush(bus, pushTimeoutMs, { instanceId: this.instanceId, owner: this.#peers.owner });
    return new ManagementServer({
      api: createConnectionsApi({
        peers: bus.peers,
        push,
        addressing: this.#peers.addressing,
        maxFrameBytes: () => this.#spec.current.limits.maxBufferedBytes,
      }),
      maxBodyBytes: () => this.#spec.current.management.maxBodyBytes,
      access: managementAccess(this.#spec, secrets, this.#identity),
      onAudit: (line) => this.#onAudit(line),
      notReadyReason: () => this.readiness.reason,
      onError: this.#log.failed,
    });
  }

  #listenToBus(): void {
    const { bus } = this.#deps;
    bus.messages.onPressure(() => this.#intake.review());
    bus.messages.onConsumers(() => {
      this.#intake.review();
      this.readiness.update();
    });
    bus.onStatus((status, err) => {
      if (status === 'up') this.#log.busUp();
      else if (status === 'down') this.#log.busDown({ err });
      this.readiness.update();
    });
    this.#peers.listen();
  }

  /** Why an upgrade to this endpoint is refused now; undefined when it is not. */
  #refusal(endpoint: string): HydrogenError | undefined {
    const { bus } = this.#deps;
    if (this.#state !== 'serving') return new HydrogenError('HYD_DRAINING');
    if (bus.status !== 'up') return new HydrogenError('HYD_NOT_READY', 'the bus is down');
    if (this.#lease?.isHeld !== true) {
      return new HydrogenError('HYD_NOT_READY', 'the lease of this instance is not held');
    }
    if (this.#spec.current.mode === 'Bidirectional' && !bus.messages.isConsumed(endpoint)) {
      return new HydrogenError('HYD_NOT_READY', `no message processor consumes ${endpoint}`);
    }
    return undefined;
  }

  #notReadyReason(): string | undefined {
    const refusals = this.#spec.current.endpoints.map(({ path }) => this.#refusal(path));
    return refusals.every((error) => error !== undefined) ? refusals[0]?.message : undefined;
  }

  #onOpened(connection: Connection): void {
    this.#intake.open(connection);
    this.#metrics.opened.add(connection.endpoint);
    const { id: connectionId, endpoint, remoteAddress } = connection;
    this.#log.connectionOpened({ connectionId, endpoint, remoteAddress });
  }

  #onDisconnected(connection: Connection, closure: Closure): void {
    this.#intake.closed(connection);
    if (connection.wasOpen) this.#metrics.closed(closure.closeCode);
    if (closure.code !== undefined && closure.code === connection.endsWith) this.#metrics.expired.add(closure.code);
    const { id: connectionId, endpoint } = connection;
    const connectedSeconds = connection.ageMs / 1000;
    this.#log.connectionClosed({ connectionId, endpoint, ...closure, connectedSeconds });
    this.#hooks.disconnected(connection, closure);
  }

  #onRefused(
    error: HydrogenError,
    { path, remoteAddress, durationMs }: { path: string; remoteAddress: string; durationMs: number },
  ): void {
    const { code, message, cause } = error;
    // The log names the missing secret; the answer to the client does not.
    const detail = cause instanceof HydrogenError ? `${message}: ${cause.message}` : message;
    this.#metrics.refused.add(code);
    this.#log.upgradeRefused({ code, path, remoteAddress, durationMs: Math.round(durationMs), detail });
  }

  /** Each act of a caller; of refusals one in a while, for a stranger can cause as many as he likes. */
  #onAudit(line: AuditLine): void {
    if (!line.isRefused) this.#log.managementAudit(line);
    else {
      const count = this.#refusedCalls.take();
      if (count !== undefined) this.#log.managementRefused({ ...line, count });
    }
  }

  #onDropped(): void {
    this.#metrics.refused.add('HYD_DESCRIPTORS_EXHAUSTED');
    const count = this.#dropped.take();
    if (count !== undefined) this.#log.descriptorsExhausted({ count, connections: this.#sockets.connections.size });
  }

  #onLeaseHeld(): void {
    this.#peers.held();
    this.readiness.update();
  }

  #onLeaseLost(): void {
    const { connections } = this.#sockets;
    this.#log.leaseLost({ connections: connections.size });
    for (const connection of connections.values()) connection.close(closureFor('HYD_BUS_UNREACHABLE'));
    this.readiness.update();
  }

  #gauges(): Readonly<Record<string, number>> {
    const { messages, bytes } = this.#deps.bus.messages.unacknowledged;
    return {
      connections: this.#sockets.connections.size,
      unacknowledgedMessages: messages,
      unacknowledgedBytes: bytes,
    };
  }
}

function countByEndpoint(connections: Iterable<Connection>): Map<string, number> {
  const byEndpoint = new Map<string, number>();
  for (const { endpoint } of connections) byEndpoint.set(endpoint, (byEndpoint.get(endpoint) ?? 0) + 1);
  return byEndpoint;
}
