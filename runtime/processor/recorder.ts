/** Where the events of a worker go: metrics and log. */

import type { HydrogenError } from '../errors.ts';
import type {
  CircuitState,
  DeliveryFacts,
  FailureFacts,
  ReplyOutcome,
  RetryFacts,
  WorkerEvents,
} from '../role/events.ts';
import type { RoleLog } from '../role/log.ts';
import { noRule, type ProcessorMetrics } from '../role/metrics.ts';

export class DeliveryRecorder implements WorkerEvents {
  readonly #metrics: ProcessorMetrics;
  readonly #log: RoleLog;

  constructor(metrics: ProcessorMetrics, log: RoleLog) {
    this.#metrics = metrics;
    this.#log = log;
  }

  consumed(facts: DeliveryFacts): void {
    this.#metrics.consumed.add(this.#observe(facts));
    this.#log.consumed(facts);
  }

  retried(facts: RetryFacts): void {
    this.#metrics.retried.add(this.#observe(facts));
    this.#log.retried(facts);
  }

  deadLettered(facts: FailureFacts): void {
    this.#metrics.deadLettered.add(this.#observe(facts));
    this.#log.deadLettered(facts);
  }

  dropped(facts: DeliveryFacts): void {
    this.#metrics.dropped += 1;
    this.#log.dropped(facts);
  }

  replied(facts: DeliveryFacts, outcome: ReplyOutcome): void {
    this.#metrics.replies.add(outcome);
    if (outcome !== 'sent') this.#log.replyLost({ ...facts, outcome });
  }

  circuitChanged(destination: string, state: CircuitState): void {
    if (state === 'open') this.#log.destinationFailing({ destination });
    else if (state === 'closed') this.#log.destinationRecovered({ destination });
  }

  tookOver(lanes: number): void {
    this.#metrics.takenOver += lanes;
    this.#log.lanesTakenOver({ lanes });
  }

  lanesLost(lanes: number): void {
    this.#log.lanesLost({ lanes });
  }

  busProblem(err: HydrogenError): void {
    this.#log.busProblem({ code: err.code, err });
  }

  /** @returns the label of its rule */
  #observe({ rule = noRule, durationMs }: DeliveryFacts): string {
    this.#metrics.observeSeconds(rule, durationMs / 1000);
    return rule;
  }
}
