/** Creates or adapts the streams and durable consumers of one processor, with retries; reports each problem once. */

import { HydrogenError } from '../../errors.ts';
import type { ConsumerOptions } from '../port/messages.ts';
import type { NatsCore } from './core.ts';
import { type ConsumerSet, ensureConsumers } from './durables.ts';
import { JetStreamError } from './requests.ts';
import { clientStream, deadLetterStream, ensureStream } from './streams.ts';

export interface ConsumerSetupEvents {
  /** The next attempt is due. */
  onRetry(): void;
  onProblem(error: HydrogenError): void;
}

const firstRetryMs = 50;
const maxRetryMs = 2000;
const maxReported = 64;

export class ConsumerSetup {
  readonly #core: NatsCore;
  readonly #options: ConsumerOptions;
  readonly #events: ConsumerSetupEvents;
  readonly #reported = new Set<string>();
  #state: 'idle' | 'running' | 'stopped' = 'idle';
  #hasSucceeded = false;
  #retryMs = firstRetryMs;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(core: NatsCore, options: ConsumerOptions, events: ConsumerSetupEvents) {
    this.#core = core;
    this.#options = options;
    this.#events = events;
  }

  get canRun(): boolean {
    return this.#state === 'idle' && this.#core.link.isUp;
  }

  /** Resolves with undefined when it failed; the next attempt is then scheduled. Call it only while `canRun`. */
  async run(): Promise<ConsumerSet | undefined> {
    const { requests, subjects } = this.#core;
    const { stream, deadLetter } = this.#core.options;
    this.#state = 'running';
    let found: ConsumerSet | undefined;
    try {
      await this.#ensureStreams(clientStream(subjects, stream), deadLetterStream(subjects, stream, deadLetter));
      found = await ensureConsumers(requests, subjects, this.#options, this.#hasSucceeded);
      this.#hasSucceeded = true;
    } catch (cause) {
      this.#reportFailure(cause);
      this.retryLater();
    }
    if (!this.#isStopped()) this.#state = 'idle';
    return found;
  }

  retryLater(): void {
    clearTimeout(this.#retryTimer);
    if (this.#isStopped()) return;
    this.#retryTimer = setTimeout(() => this.#events.onRetry(), this.#retryMs * (0.5 + Math.random() / 2));
    this.#retryMs = Math.min(maxRetryMs, this.#retryMs * 2);
  }

  /** The consumers are working: the next failure is retried soon. */
  resetBackOff(): void {
    this.#retryMs = firstRetryMs;
  }

  /** Reports each problem once: it is found again after every reconnect. */
  report(problem: HydrogenError): void {
    if (this.#isStopped() || this.#reported.has(problem.message)) return;
    if (this.#reported.size >= maxReported) this.#reported.clear();
    this.#reported.add(problem.message);
    this.#events.onProblem(problem);
  }

  stop(): void {
    this.#state = 'stopped';
    clearTimeout(this.#retryTimer);
  }

  // A method, because the state may have changed during an await, which the type checker does not see.
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  async #ensureStreams(...streams: Parameters<typeof ensureStream>[1][]): Promise<void> {
    const conflicts = [];
    for (const stream of streams) conflicts.push(...(await ensureStream(this.#core.requests, stream)));
    for (const { object, field, have, want } of conflicts) {
      const detail = `${object}: ${field} is ${JSON.stringify(have)}, wanted ${JSON.stringify(want)}`;
      this.report(new HydrogenError('HYD_STREAM_CONFLICT', detail));
    }
  }

  // JetStream needs a moment after its server is up, so a failure that may pass is reported only when it lasts.
  #reportFailure(cause: unknown): void {
    const what = `consumer ${this.#options.processor}: ${cause instanceof Error ? cause.message : String(cause)}`;
    if (cause instanceof JetStreamError && !cause.isTransient) {
      this.report(new HydrogenError('HYD_STREAM_CONFLICT', what, { cause }));
    } else if (this.#core.link.isUp && this.#retryMs >= maxRetryMs / 4) {
      this.report(new HydrogenError('HYD_BUS_UNREACHABLE', what, { cause }));
    }
  }
}
