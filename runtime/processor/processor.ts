/**
 * A message processor: a worker with its bus, its probes, its metrics and its log. How messages are delivered is in
 * `worker.ts`.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { busGroup } from '../../crds/contract.ts';
import { exitMarginMs, longestDeliverySeconds, processorGraceSeconds } from '../../crds/grace.ts';
import { ProbeServer } from '../../process/probes.ts';
import { Deadline, within } from '../../process/timing.ts';
import { maxAgeMsOf } from '../bus/options.ts';
import type { Bus } from '../bus/port/bus.ts';
import type { DestinationBacklogReport } from '../bus/port/reports.ts';
import { HydrogenError } from '../errors.ts';
import { signerOf } from '../http/services/signer.ts';
import { createPush } from '../peers/push.ts';
import type { Reconfigured } from '../role/config-report.ts';
import { type ProcessorConfig, restartFields } from '../role/documents.ts';
import type { ReplyOutcome } from '../role/events.ts';
import { LiveConfig } from '../role/live-config.ts';
import { createRoleLog, type RoleLog } from '../role/log.ts';
import { ProcessorMetrics } from '../role/metrics.ts';
import { Readiness } from '../role/readiness.ts';
import type { MountedSecrets } from '../role/secrets.ts';
import { Statistics } from '../role/statistics.ts';
import { DeliveryRecorder } from './recorder.ts';
import type { PushReply } from './reply-lines.ts';
import { Worker } from './worker.ts';

export interface MessageProcessorDeps {
  /** Not started yet; the processor starts and stops it. */
  readonly bus: Bus;
  readonly secrets: MountedSecrets;
  readonly logger: Logger;
  /** Undefined: no probe server. 0: any free port. */
  readonly probePort?: number | undefined;
  /** Address to listen on; default: every one. */
  readonly host?: string | undefined;
  readonly version: string;
}

/** Milliseconds that the gateway of a connection has to accept a reply. */
const replyTimeoutMs = 5_000;
/** Milliseconds that deliveries have beyond the longest that one may take. */
const deliveryMarginMs = 1_000;

export class MessageProcessor {
  readonly readiness: Readiness;
  readonly #deps: MessageProcessorDeps;
  readonly #initial: ProcessorConfig;
  readonly #config: LiveConfig<ProcessorConfig>;
  readonly #log: RoleLog;
  readonly #worker: Worker;
  readonly #probes: ProbeServer;
  readonly #statistics: Statistics;
  #state: 'new' | 'running' | 'stopping' = 'new';
  #probePort: number | undefined;

  /** @throws {HydrogenError} HYD_CONFIG_INVALID, for example for a pattern that is not a regular expression */
  constructor(config: ProcessorConfig, deps: MessageProcessorDeps) {
    const { bus, secrets } = deps;
    const { name, namespace } = config.processor.metadata;
    const group = busGroup(namespace, config.group.metadata.name);
    const metrics = new ProcessorMetrics({
      inFlight: () => this.#worker.running + this.#worker.waiting,
      lag: () => this.#worker.lag(),
      waiting: () => this.#worker.waitingByRule(),
      held: () => this.#worker.heldByRule(),
      open: () => this.#worker.openCircuitsByRule(),
      oldestSeconds: () => this.#worker.oldestSecondsByRule(),
      lanes: () => this.#worker.lanes,
      isBusUp: () => bus.status === 'up',
    });
    this.#deps = deps;
    this.#initial = config;
    this.#config = new LiveConfig(config);
    this.#log = createRoleLog(deps.logger, { processor: `${namespace}/${name}`, group });
    this.#worker = new Worker(config.processor, {
      bus,
      resolveHeaders: (headers) => secrets.headers(headers),
      signer: signerOf(config.group, (ref) => secrets.read(ref)),
      maxAgeMs: maxAgeMsOf(config.group),
      push: replyOver(bus),
      events: new DeliveryRecorder(metrics, this.#log),
    });
    this.readiness = new Readiness(() => this.#notReadyReason(), this.#log);
    this.#probes = new ProbeServer({ notReadyReason: () => this.readiness.reason, registry: metrics.registry });
    this.#statistics = new Statistics(
      () => metrics.totals(),
      () => this.#gauges(),
      this.#log.statistics,
    );
    this.#config.onChange(({ processor }) => this.#statistics.schedule(processor.spec.statsIntervalSeconds));
  }

  /** The destinations for which a message has waited in this process for half a minute. */
  get backlogs(): readonly DestinationBacklogReport[] {
    return this.#worker.backlogs();
  }

  /** The port of the probes, once started. */
  get probePort(): number | undefined {
    return this.#probePort;
  }

  /** Resolves when it listens; it becomes ready later, once the bus is. @throws when the port is not available. */
  async start(): Promise<void> {
    const { bus, host, version } = this.#deps;
    bus.onStatus((status, err) => {
      if (status === 'up') this.#log.busUp();
      else if (status === 'down') this.#log.busDown({ err });
      this.readiness.update();
    });
    if (this.#deps.probePort !== undefined) this.#probePort = await this.#probes.listen(this.#deps.probePort, host);
    const ports = this.#probePort === undefined ? {} : { ports: { probes: this.#probePort } };
    this.#log.started({ version, ...ports });
    this.#state = 'running';
    await bus.start();
    this.#worker.start(() => this.readiness.update());
    this.#statistics.schedule(this.#config.current.processor.spec.statsIntervalSeconds);
  }

  /**
   * Applies a new configuration without dropping open deliveries; an invalid one is logged, and the old one stays. Never
   * rejects.
   */
  async reconfigure(next: ProcessorConfig): Promise<Reconfigured> {
    const needsRestart = restartFields(this.#initial, next);
    if (isDeepStrictEqual(next, this.#config.current)) return { kind: 'taken', needsRestart };
    try {
      await this.#worker.reconfigure(next.processor);
    } catch (error) {
      if (error instanceof HydrogenError) this.#log.configRefused({ problems: [error.message] });
      else this.#log.failed(error);
      return { kind: 'refused', problem: String((error as Error).message) };
    }
    this.#take(next, needsRestart);
    return { kind: 'taken', needsRestart };
  }

  /**
   * Hands back deliveries that have not started, finishes the others, and stops, within the grace period that manifests
   * grant and whatever the bus does. Never rejects. @param signal for the log. @param maxGraceMs shortens the time for
   * open deliveries.
   */
  async stop(signal = 'stop', maxGraceMs = Number.POSITIVE_INFINITY): Promise<void> {
    if (this.#state === 'stopping') return;
    const startedAtMs = performance.now();
    const { spec } = this.#config.current.processor;
    const deadline = new Deadline(processorGraceSeconds(spec) * 1000 - exitMarginMs);
    this.#state = 'stopping';
    this.#log.stopping({ signal });
    this.readiness.end();
    this.#statistics.stop();
    const graceMs = Math.min(longestDeliverySeconds(spec) * 1000 + deliveryMarginMs, maxGraceMs);
    await this.#worker.stop({ graceMs: deadline.remainingMs(graceMs) });
    await within(deadline.remainingMs(), this.#deps.bus.stop());
    await this.#probes.stop();
    this.#log.stopped({ durationMs: Math.round(performance.now() - startedAtMs) });
  }

  #notReadyReason(): string | undefined {
    if (this.#state !== 'running') return 'not running';
    if (this.#deps.bus.status !== 'up') return 'the bus is down';
    return this.#worker.isReady ? undefined : 'its consumer does not exist yet';
  }

  #take(next: ProcessorConfig, fields: readonly string[]): void {
    this.#log.configTaken();
    if (fields.length > 0) this.#log.configNeedsRestart({ fields });
    this.#config.replace(next);
  }

  async #gauges(): Promise<Readonly<Record<string, number>>> {
    const lag = await this.#worker.lag();
    const inFlight = this.#worker.running + this.#worker.waiting;
    return { inFlight, ...(lag === undefined ? {} : { lag: lag.pending, ...lag }) };
  }
}

function replyOver(bus: Bus): PushReply {
  const push = createPush(bus, replyTimeoutMs);
  return async (connectionId, data, isBinary): Promise<ReplyOutcome> => {
    const { status } = await push.ask({ kind: 'reply', connectionId, data, isBinary });
    return status === 'done' || status === 'accepted' ? 'sent' : status;
  };
}
