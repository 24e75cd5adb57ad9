/** Sets up the streams and durable consumers of one consumption, with retries; reports each problem once. */

import { HydrogenError } from '../../errors.ts';
import type { Link } from './connection.ts';
import type { ConsumptionSource } from './consumption-source.ts';
import type { ConsumerSet } from './durables.ts';
import { JetStreamError } from './requests.ts';

export interface ConsumerSetupEvents {
  /** The next attempt is due. */
  onRetry(): void;
  onProblem(error: HydrogenError): void;
}

const firstRetryMs = 50;
const maxRetryMs = 2000;
const maxReported = 64;
/** How long a narrowing that has to wait for messages to be consumed rests. */
const narrowAgainMs = 2000;

export class ConsumerSetup {
  readonly #link: Link;
  readonly #source: ConsumptionSource;
  readonly #events: ConsumerSetupEvents;
  readonly #reported = new Set<string>();
  #state: 'idle' | 'running' | 'stopped' = 'idle';
  #hasSucceeded: boolean;
  #retryMs = firstRetryMs;
  #retryTimer: NodeJS.Timeout | undefined;
  #narrowTimer: NodeJS.Timeout | undefined;

  /** @param hasSucceeded true if another set-up of the same replica has */
  constructor(link: Link, source: ConsumptionSource, events: ConsumerSetupEvents, hasSucceeded = false) {
    this.#hasSucceeded = hasSucceeded;
    this.#link = link;
    this.#source = source;
    this.#events = events;
  }

  get canRun(): boolean {
    return this.#state === 'idle' && this.#link.isUp;
  }

  /** Resolves with undefined when it failed; the next attempt is then scheduled. Call it only while `canRun`. */
  async run(): Promise<ConsumerSet | undefined> {
    this.#state = 'running';
    let found: ConsumerSet | undefined;
    try {
      found = await this.#source.ensure({
        hasSucceeded: this.#hasSucceeded,
        report: (problem) => this.report(problem),
      });
      this.#hasSucceeded = true;
      if (found.isWide) this.#narrowAfter(0);
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
    clearTimeout(this.#narrowTimer);
  }

  #narrowAfter(delayMs: number): void {
    clearTimeout(this.#narrowTimer);
    if (!this.#isStopped()) this.#narrowTimer = setTimeout(() => void this.#narrow(), delayMs);
  }

  // Messages are consumed meanwhile, which it waits for.
  async #narrow(): Promise<void> {
    if (!this.#link.isUp) return;
    try {
      if (await this.#source.narrow(() => !this.#isStopped())) return;
    } catch (cause) {
      this.#reportFailure(cause);
    }
    this.#narrowAfter(narrowAgainMs);
  }

  // A method, because the state may have changed during an await, which the type checker does not see.
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  // JetStream needs a moment after its server is up, so a failure that may pass is reported only when it lasts.
  #reportFailure(cause: unknown): void {
    const what = `${this.#source.what}: ${cause instanceof Error ? cause.message : String(cause)}`;
    if (cause instanceof JetStreamError && !cause.isTransient) {
      this.report(new HydrogenError('HYD_STREAM_CONFLICT', what, { cause }));
    } else if (this.#link.isUp && this.#retryMs >= maxRetryMs / 4) {
      this.report(new HydrogenError('HYD_BUS_UNREACHABLE', what, { cause }));
    }
  }
}
