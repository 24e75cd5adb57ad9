/**
 * One attempt to deliver one message: find its destination, post it, and end the delivery on the bus according to the
 * outcome. A message is acknowledged only after a 2xx (or when the configuration says to drop it), and terminated only
 * after its dead letter is stored.
 */

import type { DeadLetterBus, DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { Delivery } from '../bus/port/messages.ts';
import { type ErrorCode, type ErrorEntry, errors, HydrogenError } from '../errors.ts';
import type { HttpClient } from '../http/client/client.ts';
import {
  type AttemptFailure,
  type AttemptOutcome,
  deliver,
  type PreparedDestination,
} from '../http/services/destination.ts';
import type { DeliveryFacts, ReplyOutcome, WorkerEvents } from '../role/events.ts';
import { retryDelayMs } from './backoff.ts';
import { Burials } from './burial.ts';
import type { ProcessorSettings } from './settings.ts';

/** Sends a reply to a client of the group. Never rejects. */
export type PushReply = (connectionId: string, data: Uint8Array, isBinary: boolean) => Promise<ReplyOutcome>;

export interface AttemptsDeps {
  readonly deadLetters: DeadLetterBus;
  readonly http: HttpClient;
  readonly push: PushReply;
  readonly events: WorkerEvents;
  /** In [0, 1), for jitter. */
  readonly random: () => number;
}

interface Attempt {
  readonly delivery: Delivery;
  readonly settings: ProcessorSettings;
  readonly startedMs: number;
}

type Consumed = Extract<AttemptOutcome, { kind: 'consumed' }>;

/** Milliseconds that a message keeps its place while its dead letter is not stored. */
const burialPatienceMs = 5_000;

export class Attempts {
  readonly #deps: AttemptsDeps;
  readonly #burials: Burials;

  constructor(deps: AttemptsDeps) {
    this.#deps = deps;
    this.#burials = new Burials(deps.deadLetters, burialPatienceMs);
  }

  /** Resolves when the attempt is complete; a rejection is a bug. */
  async run(delivery: Delivery, settings: ProcessorSettings): Promise<void> {
    const attempt: Attempt = { delivery, settings, startedMs: performance.now() };
    const cause = this.#burials.causeOf(delivery.id);
    if (cause !== undefined) return this.#bury(attempt, cause.rule, { ...cause, code: cause.code as ErrorCode });
    const decided = settings.router.route(delivery);
    const route = decided instanceof Promise ? await decided : decided;
    switch (route.kind) {
      case 'destination':
        return this.#deliver(attempt, route.rule, route.destination);
      case 'failed':
        return this.#fail(attempt, undefined, route);
      case 'unmatched':
        if (settings.unmatched === 'DeadLetter') {
          return this.#bury(attempt, undefined, { code: 'HYD_NO_RULE_MATCHED', detail: '' });
        }
        delivery.ack();
        this.#deps.events.dropped(factsOf(attempt, undefined));
    }
  }

  async #deliver(attempt: Attempt, rule: string, destination: PreparedDestination): Promise<void> {
    const outcome = await deliver(this.#deps.http, destination, attempt.delivery);
    switch (outcome.kind) {
      case 'consumed': {
        attempt.delivery.ack();
        const facts = factsOf(attempt, rule);
        this.#deps.events.consumed(facts);
        if (outcome.reply !== undefined || outcome.replyLost !== undefined) await this.#reply(facts, outcome);
        return;
      }
      case 'failed':
        return this.#fail(attempt, rule, outcome);
      case 'abandoned':
    }
  }

  async #reply(facts: DeliveryFacts, { reply, replyLost }: Consumed): Promise<void> {
    const { push, events } = this.#deps;
    if (replyLost !== undefined) {
      events.replied(facts, replyLost === 'tooLarge' ? 'bodyTooLarge' : 'bodyIncomplete');
    } else if (reply !== undefined) {
      events.replied(facts, await push(facts.connectionId, reply.data, reply.isBinary));
    }
  }

  async #fail(attempt: Attempt, rule: string | undefined, failure: AttemptFailure): Promise<void> {
    const { delivery, settings } = attempt;
    const { code, detail, status, retryAfterMs = 0 } = failure;
    const entry: ErrorEntry = errors[code];
    if (entry.delivery === 'deadLetter' || delivery.attempt >= settings.maxAttempts) {
      return this.#bury(attempt, rule, failure);
    }
    const delayMs = retryDelayMs(settings.backoffMs, delivery.attempt, retryAfterMs, this.#deps.random());
    delivery.nak(delayMs);
    this.#deps.events.retried({ ...factsOf(attempt, rule), code, detail, status, delayMs });
  }

  async #bury(attempt: Attempt, rule: string | undefined, { code, detail, status }: AttemptFailure): Promise<void> {
    const { delivery, settings } = attempt;
    const { events } = this.#deps;
    const cause: DeadLetterCause = {
      code,
      detail,
      ...(status === undefined ? {} : { status }),
      ...(rule === undefined ? {} : { rule }),
    };
    switch (await this.#burials.bury(settings.consumer.processor, delivery, cause)) {
      case 'stored':
        delivery.term(code);
        events.deadLettered({ ...factsOf(attempt, rule), code, detail, status });
        return;
      case 'refused':
        delivery.nak(Math.max(...settings.backoffMs));
        events.busProblem(new HydrogenError('HYD_DEAD_LETTERS_REFUSED', `message ${delivery.id} waits`));
        return;
      case 'stopped':
    }
  }
}

function factsOf({ delivery, startedMs }: Attempt, rule: string | undefined): DeliveryFacts {
  return {
    messageId: delivery.id,
    connectionId: delivery.connectionId,
    endpoint: delivery.endpoint,
    rule,
    attempt: delivery.attempt,
    durationMs: performance.now() - startedMs,
  };
}
