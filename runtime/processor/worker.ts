/**
 * The message processor: takes client messages off the bus and delivers them to the user's services. The only place
 * where bus, routing and HTTP meet.
 *
 * - Messages of one connection are delivered one after another in arrival order, different connections side by side.
 * - Open deliveries are reported as `working()`, so that a slow destination is no reason to deliver twice.
 * - Routes, headers and delivery values change live; what is under way is finished by the settings it began with.
 */

import type { Bus } from '../bus/port/bus.ts';
import type { Consumption, Lag } from '../bus/port/messages.ts';
import { HydrogenError } from '../errors.ts';
import { createHttpClient, type HttpClient } from '../http/client/client.ts';
import { parseRetryAfter } from '../http/client/retry-after.ts';
import { ask, type Destination, describeCause } from '../http/services/destination.ts';
import type { ProcessorEvents } from '../role/events.ts';
import type { EngineAnswer, RouterDeps } from '../route/route.ts';
import { createAttempt, type PushReply } from './attempt.ts';
import { Lanes } from './lanes.ts';
import {
  compileSettings,
  isSameConsumer,
  type ProcessorResource,
  type ProcessorSettings,
  type ResolveHeaders,
} from './settings.ts';

export interface ProcessorDeps {
  /** Started and stopped by the caller; stopped after the processor. */
  readonly bus: Bus;
  readonly resolveHeaders: ResolveHeaders;
  readonly push: PushReply;
  readonly events: ProcessorEvents;
  /** In [0, 1), for the jitter of retries; default `Math.random`. */
  readonly random?: () => number;
}

export interface ProcessorStats {
  /** Deliveries under way. */
  readonly running: number;
  /** Deliveries taken off the bus that wait for their turn. */
  readonly waiting: number;
}

export interface Processor {
  /** True while deliveries can arrive. */
  readonly isReady: boolean;
  readonly stats: ProcessorStats;
  /** What is left on the bus for this processor; undefined while it can't be known. */
  lag(): Promise<Lag | undefined>;
  /** Begins to consume. */
  start(): void;
  /**
   * Takes over a new version of the same resource. Resolves when it is in force; nothing open is dropped. A change of
   * endpoints, acknowledgement time-out, maxInFlight or ordering restarts the consumption and nothing else.
   * @throws {HydrogenError} HYD_CONFIG_INVALID: the old version stays in force
   */
  reconfigure(resource: ProcessorResource): Promise<void>;
  /**
   * Stops consuming, gives back what was not started, and resolves when what was started is done or `graceMs` have
   * passed. What is unfinished then is left as it is: the bus delivers it again, elsewhere. Never rejects.
   */
  stop(options: { readonly graceMs: number }): Promise<void>;
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID */
export function createProcessor(resource: ProcessorResource, deps: ProcessorDeps): Processor {
  const { bus, resolveHeaders, events } = deps;
  // maxInFlight bounds the calls under way already.
  const http = createHttpClient({ connectionsPerOrigin: Number.POSITIVE_INFINITY });
  const attempt = createAttempt({
    deadLetters: bus.deadLetters,
    http,
    push: deps.push,
    events,
    random: deps.random ?? Math.random,
  });
  const askEngine = createAskEngine(http);
  let settings: ProcessorSettings = compileSettings(resource, resolveHeaders, askEngine);
  const lanes = new Lanes(settings.consumer.maxInFlight, (delivery) => attempt(delivery, settings));
  let consumption: Consumption | undefined;
  let sweeper: NodeJS.Timeout | undefined;
  let restarted = Promise.resolve();
  let stopped: Promise<void> | undefined;

  function consume(): void {
    const { consumer } = settings;
    lanes.maxRunning = consumer.maxInFlight;
    consumption = bus.messages.consume(
      consumer,
      (delivery) => {
        if (stopped === undefined) lanes.add(delivery);
        else delivery.nak(0);
      },
      (error) => events.busProblem(error),
    );
    clearInterval(sweeper);
    const sweepMs = consumer.ackTimeoutMs / 3;
    // What is younger than one sweep is met by the next one, still within two thirds of the time-out.
    sweeper = setInterval(() => lanes.keepAlive(sweepMs), sweepMs);
  }

  async function restart(): Promise<void> {
    await consumption?.stop();
    if (stopped === undefined) consume();
  }

  async function shutDown(graceMs: number): Promise<void> {
    const unconsumed = restarted.then(() => consumption?.stop());
    for (const delivery of lanes.takeWaiting()) delivery.nak(0);
    await within(graceMs, Promise.all([unconsumed, lanes.idle()]));
    clearInterval(sweeper);
    await http.close();
  }

  return {
    get isReady() {
      return stopped === undefined && consumption !== undefined && consumption.isReady;
    },
    get stats() {
      return { running: lanes.running, waiting: lanes.waiting };
    },
    lag: async () => consumption?.lag(),
    start: () => {
      if (consumption === undefined && stopped === undefined) consume();
    },
    reconfigure: async (next) => {
      const { consumer } = settings;
      settings = compileSettings(next, resolveHeaders, askEngine);
      if (consumption === undefined || isSameConsumer(consumer, settings.consumer)) return;
      restarted = restarted.then(restart);
      await restarted;
    },
    stop: ({ graceMs }) => {
      stopped ??= shutDown(graceMs);
      return stopped;
    },
  };
}

/** Routing's way to the rules engine: the delivery is posted to it as to a destination. */
function createAskEngine(http: HttpClient): RouterDeps<Destination>['ask'] {
  return async (engine, delivery, maxAnswerBytes) => {
    const result = await ask(http, engine, delivery, maxAnswerBytes);
    if (result instanceof HydrogenError) return { kind: 'failed', error: result.code, detail: result.message };
    switch (result.kind) {
      case 'answer': {
        const answer = { kind: 'answer', status: result.status, body: result.body } as const;
        const retryAfterMs = parseRetryAfter(result.headers('retry-after'), Date.now());
        return retryAfterMs === undefined ? answer : { ...answer, retryAfterMs };
      }
      case 'timeout':
        return failed(`no answer within ${engine.timeoutMs} ms`);
      case 'unreachable':
        return failed(`${engine.target.origin}: ${describeCause(result.cause)}`);
      case 'too-large':
        return {
          kind: 'failed',
          error: 'HYD_ANSWER_TOO_LARGE',
          detail: `more than ${maxAnswerBytes} bytes from the rules engine`,
        };
      case 'aborted':
        return { kind: 'abandoned' };
    }
  };
}

function failed(detail: string): EngineAnswer {
  return { kind: 'failed', error: 'HYD_RULES_ENGINE_FAILED', detail };
}

/** Resolves when `work` has, or after `ms` if that is sooner. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, elapsed]);
  clearTimeout(timer);
}
