/**
 * The role `mproc`: a message processor with its bus, its probes, its metrics and its log. How messages are delivered
 * is in `worker.ts`.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { busGroup } from '../../crds/contract.ts';
import { createProbeServer } from '../../process/probes.ts';
import type { Bus } from '../bus/port/bus.ts';
import { HydrogenError } from '../errors.ts';
import { createPush } from '../peers/push.ts';
import type { DeliveryFacts, ProcessorEvents } from '../role/events.ts';
import { type ProcessorConfig, restartFields } from '../role/live-config.ts';
import { createLog } from '../role/log.ts';
import { createProcessorCounts, createProcessorRegistry } from '../role/metrics.ts';
import type { Secrets } from '../role/secrets.ts';
import { createStatistics } from '../role/statistics.ts';
import { createProcessor } from './worker.ts';

export interface MprocDeps {
  /** Not started yet; the role starts and stops it. */
  readonly bus: Bus;
  readonly secrets: Secrets;
  readonly logger: Logger;
  /** Undefined: no probe server. 0: any free port. */
  readonly probePort?: number | undefined;
  /** Address to listen on; default: every one. */
  readonly host?: string | undefined;
  readonly version: string;
}

export interface Mproc {
  /** The port of the probes, once started. */
  readonly probePort: number | undefined;
  /** Undefined when it can deliver; otherwise why not. */
  notReadyReason(): string | undefined;
  /** Resolves when it listens; ready comes later, when the bus is. @throws when the port can't be had. */
  start(): Promise<void>;
  /** Takes a new configuration over, nothing open is dropped; one that is invalid is logged and left. */
  reconfigure(config: ProcessorConfig): void;
  /**
   * Gives back what was not started, finishes what was, and stops. Never rejects. @param signal for the log.
   * @param maxGraceMs default: the longest destination time-out and a second.
   */
  stop(signal?: string, maxGraceMs?: number): Promise<void>;
}

/** Milliseconds that the gateway of a connection gets to take a reply. */
const replyTimeoutMs = 5_000;
const graceMarginMs = 1_000;
/** The route of a message that no rule matched. */
const noRoute = 'none';

/** @throws {HydrogenError} HYD_CONFIG_INVALID, for a pattern that is no regular expression */
export function createMproc(initial: ProcessorConfig, deps: MprocDeps): Mproc {
  let config = initial;
  const { bus, secrets } = deps;
  const { name, namespace } = initial.processor.metadata;
  const groupId = busGroup(namespace, initial.group.metadata.name);
  const log = createLog(deps.logger, { processor: `${namespace}/${name}`, group: groupId });
  const counts = createProcessorCounts();
  const push = createPush(bus, replyTimeoutMs);
  let state: 'new' | 'running' | 'stopping' = 'new';
  let probePort: number | undefined;
  let wasReady = false;
  let readiness: NodeJS.Timeout | undefined;

  const { registry, observeSeconds } = createProcessorRegistry(counts, {
    inFlight: () => processor.stats.running + processor.stats.waiting,
    lag: () => processor.lag(),
    isBusUp: () => bus.status === 'up',
  });
  const processor = createProcessor(initial.processor, {
    bus,
    resolveHeaders: (headers) => secrets.headers(headers),
    events: createEvents(),
    async push(connectionId, data, isBinary) {
      const { status } = await push.ask({ op: 'reply', connectionId, data, isBinary });
      counts.replies.add(status === 'done' || status === 'accepted' ? 'sent' : status);
      if (status === 'done' || status === 'accepted') return 'sent';
      return status === 'gone' ? 'gone' : 'failed';
    },
  });
  const probes = createProbeServer({ notReadyReason, registry });
  const statistics = createStatistics(
    () => ({
      consumed: counts.consumed.total,
      retried: counts.retried.total,
      deadLettered: counts.deadLettered.total,
      dropped: counts.dropped.total,
      replies: counts.replies.total,
    }),
    async () => {
      const lag = await processor.lag();
      const { running, waiting } = processor.stats;
      return { inFlight: running + waiting, ...(lag === undefined ? {} : { lag: lag.pending, ...lag }) };
    },
    log.statistics,
  );

  function createEvents(): ProcessorEvents {
    const observe = ({ rule, durationMs }: DeliveryFacts): string => {
      const route = rule ?? noRoute;
      observeSeconds(route, durationMs / 1000);
      return route;
    };
    const isDebug = deps.logger.isLevelEnabled('debug');
    return {
      deliveryConsumed(facts) {
        const route = observe(facts);
        counts.consumed.add(route);
        if (isDebug) log.consumed({ ...factsOf(facts), route });
      },
      deliveryRetried(facts) {
        const route = observe(facts);
        counts.retried.add(route);
        const { error: code, detail, status, delayMs } = facts;
        log.retried({ ...factsOf(facts), route, code, detail, status, delayMs });
      },
      deliveryDeadLettered(facts) {
        const route = observe(facts);
        counts.deadLettered.add(route);
        const { error: code, detail, status } = facts;
        log.deadLettered({ ...factsOf(facts), route, code, detail, status });
      },
      deliveryDropped(facts) {
        counts.dropped.add(noRoute);
        log.dropped({ ...factsOf(facts), route: noRoute });
      },
      replyFailed({ connectionId, messageId, reason }) {
        if (reason !== 'gone' && reason !== 'failed') counts.replies.add(reason);
        log.replyLost({ connectionId, messageId, status: reason });
      },
      busProblem: (err) => log.busProblem({ code: err.code, err }),
    };
  }

  function notReadyReason(): string | undefined {
    if (state !== 'running') return 'not running';
    if (bus.status !== 'up') return 'the bus is down';
    return processor.isReady ? undefined : 'its consumer does not exist yet';
  }

  function watchReadiness(): void {
    const reason = notReadyReason();
    if (reason === undefined && !wasReady) log.ready();
    if (reason !== undefined && wasReady) log.notReady({ reason });
    wasReady = reason === undefined;
  }

  return {
    get probePort() {
      return probePort;
    },
    notReadyReason,
    async start() {
      bus.onStatus((status, err) => {
        if (status === 'up') log.busUp();
        else if (status === 'down') log.busDown({ err });
      });
      if (deps.probePort !== undefined) probePort = await probes.listen(deps.probePort, deps.host);
      log.started({ version: deps.version, ...(probePort === undefined ? {} : { ports: { probes: probePort } }) });
      state = 'running';
      await bus.start();
      processor.start();
      readiness = setInterval(watchReadiness, 250);
      readiness.unref();
      statistics.schedule(config.processor.spec.statsIntervalSeconds);
    },
    reconfigure(next) {
      if (isDeepStrictEqual(next, config)) return;
      processor.reconfigure(next.processor).then(
        () => {
          const fields = restartFields(initial, next);
          config = next;
          log.configTaken();
          if (fields.length > 0) log.configNeedsRestart({ fields });
          statistics.schedule(config.processor.spec.statsIntervalSeconds);
        },
        (error: unknown) => {
          if (error instanceof HydrogenError) log.configRefused({ problems: [error.message] });
          else log.failed(error);
        },
      );
    },
    async stop(signal = 'stop', maxGraceMs = graceMs(config)) {
      if (state === 'stopping') return;
      const startedAtMs = performance.now();
      state = 'stopping';
      log.stopping({ signal });
      clearInterval(readiness);
      statistics.stop();
      await processor.stop({ graceMs: maxGraceMs });
      await bus.stop();
      await probes.stop();
      log.stopped({ durationMs: Math.round(performance.now() - startedAtMs) });
    },
  };
}

/** As long as the slowest destination may take. */
function graceMs({ processor }: ProcessorConfig): number {
  const { rules = [], rulesEngine } = processor.spec.routing;
  const seconds = rules.map(({ destination }) => destination.timeoutSeconds);
  if (rulesEngine !== undefined) seconds.push(rulesEngine.timeoutSeconds + rulesEngine.destinationTimeoutSeconds);
  return Math.max(...seconds) * 1000 + graceMarginMs;
}

/** The facts of an attempt in the log's words. */
function factsOf({ messageId, connectionId, endpoint, attempt, durationMs }: DeliveryFacts) {
  return { messageId, connectionId, endpoint, attempt, durationMs: Math.round(durationMs * 10) / 10 };
}
