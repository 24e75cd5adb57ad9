/**
 * What is done with one delivery while it has its place: ask the rules engine, post it to its destination, or store its
 * dead letter, and end the delivery on the bus according to the outcome. A message is acknowledged only after a 2xx (or
 * when the configuration says to drop it), and terminated only after its dead letter is stored.
 */

import { deadLetterRoom } from '../../crds/waiting-rooms.ts';
import { sleep } from '../../process/timing.ts';
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
import type { DeliveryFacts, WorkerEvents } from '../role/events.ts';
import { retryDelayMs } from './backoff.ts';
import { bury } from './burial.ts';
import type { DestinationQueue } from './destination-queue.ts';
import { ended, type OpenDelivery, type RunOutcome } from './open-delivery.ts';
import type { RoomParking } from './parking.ts';
import { type PushReply, ReplyLines } from './reply-lines.ts';
import type { Route } from './router.ts';
import type { ProcessorSettings } from './settings.ts';

export interface AttemptsDeps {
  readonly deadLetters: DeadLetterBus;
  readonly parking: RoomParking;
  readonly http: HttpClient;
  readonly push: PushReply;
  readonly events: WorkerEvents;
  /** In [0, 1), for jitter. */
  readonly random: () => number;
  /** Milliseconds until the next attempt to store a dead letter that was not accepted. */
  readonly letterRetryMs: number;
}

interface Attempt {
  readonly open: OpenDelivery;
  readonly delivery: Delivery;
  readonly settings: ProcessorSettings;
  readonly startedMs: number;
  readonly queue: DestinationQueue;
}

type Consumed = Extract<AttemptOutcome, { kind: 'consumed' }>;

export class Attempts {
  readonly #deps: AttemptsDeps;
  readonly #replies: ReplyLines;

  constructor(deps: AttemptsDeps) {
    this.#deps = deps;
    this.#replies = new ReplyLines(deps.push);
  }

  /** Resolves once every reply has its outcome. */
  replied(): Promise<void> {
    return this.#replies.idle();
  }

  /**
   * Where a message may not be overtaken, what must wait is held here; otherwise it goes to a waiting room, which ends it.
   * A rejection is a bug.
   */
  async run(open: OpenDelivery, queue: DestinationQueue, settings: ProcessorSettings): Promise<RunOutcome> {
    const { delivery } = open;
    const attempt: Attempt = { open, delivery, settings, startedMs: performance.now(), queue };
    if (open.route === undefined) {
      const route = await settings.router.route(delivery);
      this.#judgeEngine(attempt, route);
      open.route = route;
      if (route.kind === 'destination') {
        delivery.rest(0);
        return { kind: 'moved', queue: route.queue };
      }
    }
    return this.#follow(attempt, open.route);
  }

  async #follow(attempt: Attempt, route: Route): Promise<RunOutcome> {
    switch (route.kind) {
      case 'destination':
        return this.#deliver(attempt, route.rule, route.destination);
      case 'failed':
        return this.#fail(attempt, undefined, route);
      case 'letter':
        return this.#bury(attempt, route.cause, attempt.delivery.attempt - 1);
      case 'unmatched':
        if (attempt.settings.unmatched === 'DeadLetter') {
          return this.#bury(attempt, { code: 'HYD_NO_RULE_MATCHED', detail: '' }, attempt.delivery.attempt);
        }
        attempt.delivery.ack();
        this.#deps.events.dropped(factsOf(attempt, undefined));
        return ended;
      case 'abandoned':
        return ended;
    }
  }

  async #deliver(attempt: Attempt, rule: string, destination: PreparedDestination): Promise<RunOutcome> {
    const { delivery, queue } = attempt;
    const outcome = await deliver(this.#deps.http, destination, delivery);
    switch (outcome.kind) {
      case 'consumed': {
        delivery.ack();
        queue.circuit.succeeded();
        const facts = factsOf(attempt, rule);
        this.#deps.events.consumed(facts);
        const isCrowded = this.#reply(facts, outcome);
        if (isCrowded !== undefined) await isCrowded;
        return ended;
      }
      case 'failed':
        judge(queue, delivery.connectionId, outcome);
        return this.#fail(attempt, rule, outcome);
      case 'abandoned':
        return ended;
    }
  }

  /** @returns what the next message of the connection waits for, if it must */
  #reply(facts: DeliveryFacts, { reply, replyLost }: Consumed): Promise<void> | undefined {
    const { events } = this.#deps;
    if (replyLost !== undefined) {
      events.replied(facts, replyLost === 'tooLarge' ? 'bodyTooLarge' : 'bodyIncomplete');
      return undefined;
    }
    if (reply === undefined) return undefined;
    const { data, isBinary } = reply;
    return this.#replies.send(facts.connectionId, data, isBinary, (outcome) => events.replied(facts, outcome));
  }

  #judgeEngine({ queue, delivery }: Attempt, route: Route): void {
    if (route.kind === 'destination') queue.circuit.succeeded();
    else if (route.kind === 'failed') judge(queue, delivery.connectionId, route);
  }

  async #fail(attempt: Attempt, rule: string | undefined, failure: AttemptFailure): Promise<RunOutcome> {
    const { delivery, settings, queue } = attempt;
    const { code, detail, status, retryAfterMs = 0 } = failure;
    const entry: ErrorEntry = errors[code];
    const attempts = isSent(failure) ? delivery.attempt : delivery.attempt - 1;
    const cause = causeOf(failure, rule);
    if (entry.delivery === 'deadLetter' || attempts >= settings.maxAttempts) {
      return this.#bury(attempt, cause, delivery.attempt);
    }
    const delayMs = retryDelayMs(settings.backoffMs, delivery.attempt, retryAfterMs, this.#deps.random());
    const facts = { ...factsOf(attempt, rule), code, detail, status, delayMs };
    if (!settings.limits.mayPark) {
      delivery.rest(attempts - (delivery.attempt - 1));
      this.#deps.events.retried(facts);
      return { kind: 'held', delayMs };
    }
    if (await this.#deps.parking.retryLater(delivery, queue.name, attempts, delayMs, settings)) {
      this.#deps.events.retried(facts);
      return ended;
    }
    const full = { ...cause, code: 'HYD_WAITING_ROOM_FULL', detail: `of ${queue.name}; ${code}: ${detail}` };
    return this.#bury(attempt, full, delivery.attempt);
  }

  async #bury(attempt: Attempt, cause: DeadLetterCause, attempts: number): Promise<RunOutcome> {
    const { open, delivery, settings } = attempt;
    const { deadLetters, events, parking, letterRetryMs } = this.#deps;
    for (;;) {
      const burial = await bury(deadLetters, settings.consumer.processor, delivery, attempts, cause);
      if (burial === 'stopped') return ended;
      if (burial === 'stored') {
        delivery.term(cause.code);
        const { code, detail, status, rule } = cause;
        // Causes are made here, or were when they went to a waiting room: their codes are of the table.
        const facts = { ...factsOf(attempt, rule), attempt: attempts };
        events.deadLettered({ ...facts, code: code as ErrorCode, detail, status });
        return ended;
      }
      events.busProblem(new HydrogenError('HYD_DEAD_LETTERS_REFUSED', `message ${delivery.id} waits`));
      if (!settings.limits.mayPark) {
        open.cause = cause;
        delivery.rest(attempts - (delivery.attempt - 1));
        return { kind: 'held', delayMs: letterRetryMs };
      }
      if (await parking.waitForLetter(delivery, deadLetterRoom, attempts, letterRetryMs, cause, settings)) return ended;
      await sleep(letterRetryMs);
    }
  }
}

/** Failures before anything was sent: they burn no attempt, and say nothing about the destination. */
const unsent: ReadonlySet<ErrorCode> = new Set([
  'HYD_DESCRIPTORS_EXHAUSTED',
  'HYD_MESSAGE_UNREADABLE',
  'HYD_SECRET_MISSING',
]);

/** True if a request was sent. */
function isSent({ code }: AttemptFailure): boolean {
  return !unsent.has(code);
}

/** What an attempt says about the destination: an answer below 500, other than 408 and 429, shows that it is alive. */
function judge({ circuit }: DestinationQueue, connectionId: string, failure: AttemptFailure): void {
  const { status, retryAfterMs = 0 } = failure;
  if (!isSent(failure)) return;
  if (status === undefined || status >= 500 || status === 429 || status === 408)
    circuit.failed(connectionId, retryAfterMs);
  else circuit.succeeded();
}

function causeOf({ code, detail, status }: AttemptFailure, rule: string | undefined): DeadLetterCause {
  return { code, detail, ...(status === undefined ? {} : { status }), ...(rule === undefined ? {} : { rule }) };
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
