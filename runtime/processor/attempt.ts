/**
 * One attempt to deliver one message: find its destination, post it, and end the delivery on the bus by what came of it.
 * A message is acknowledged only after a 2xx (or when the configuration says to drop it), and terminated only after its
 * dead letter is stored.
 */

import type { DeadLetterBus, DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { Delivery } from '../bus/port/messages.ts';
import { type ErrorCode, type ErrorEntry, errors, HydrogenError } from '../errors.ts';
import type { HttpClient } from '../http/client/client.ts';
import { deliver, type Outcome } from '../http/services/destination.ts';
import type { DeliveryFacts, ProcessorEvents } from '../role/events.ts';
import { retryDelayMs } from './backoff.ts';
import { createBurials } from './burial.ts';
import type { ProcessorSettings } from './settings.ts';

/** Sends a reply to a client of the group. Never rejects. */
export type PushReply = (
  connectionId: string,
  data: Uint8Array,
  isBinary: boolean,
) => Promise<'sent' | 'gone' | 'failed'>;

export interface AttemptDeps {
  readonly deadLetters: DeadLetterBus;
  readonly http: HttpClient;
  readonly push: PushReply;
  readonly events: ProcessorEvents;
  /** In [0, 1), for jitter. */
  readonly random: () => number;
}

interface Failure {
  readonly error: ErrorCode;
  readonly detail: string;
  readonly status?: number;
  readonly retryAfterMs?: number;
}

/** What an attempt knows of itself. */
interface Attempt {
  readonly delivery: Delivery;
  readonly settings: ProcessorSettings;
  readonly startedMs: number;
}

/** Milliseconds that a message keeps its place while its dead letter is not stored. */
const burialPatienceMs = 5_000;

/** The returned function resolves when nothing of the attempt is left to do; a rejection is a bug. */
export function createAttempt(deps: AttemptDeps): (delivery: Delivery, settings: ProcessorSettings) => Promise<void> {
  const { deadLetters, http, push, events, random } = deps;
  const burials = createBurials(deadLetters, burialPatienceMs);

  async function attempt(delivery: Delivery, settings: ProcessorSettings): Promise<void> {
    const self = { delivery, settings, startedMs: performance.now() };
    const buried = burials.causeOf(delivery.id);
    if (buried !== undefined) return bury(self, buried.rule, { ...buried, error: buried.code as ErrorCode });
    const decided = settings.router.route(delivery);
    const route = decided instanceof Promise ? await decided : decided;
    switch (route.kind) {
      case 'destination':
        return settle(self, route.rule, await deliver(http, route.destination, delivery));
      case 'failed':
        return fail(self, undefined, route);
      case 'unmatched':
        if (settings.unmatched === 'DeadLetter')
          return bury(self, undefined, { error: 'HYD_NO_RULE_MATCHED', detail: '' });
        delivery.ack();
        events.deliveryDropped(factsOf(self, undefined));
    }
  }

  async function settle(self: Attempt, rule: string, outcome: Outcome): Promise<void> {
    switch (outcome.kind) {
      case 'consumed':
        self.delivery.ack();
        events.deliveryConsumed(factsOf(self, rule));
        if (outcome.reply !== undefined || outcome.replyLost !== undefined) await reply(self, rule, outcome);
        return;
      case 'retry':
        return fail(self, rule, outcome);
      case 'deadLetter':
        return bury(self, rule, outcome);
      case 'abandoned':
    }
  }

  async function reply(self: Attempt, rule: string, outcome: Extract<Outcome, { kind: 'consumed' }>): Promise<void> {
    const facts = factsOf(self, rule);
    if (outcome.replyLost !== undefined) events.replyFailed({ ...facts, reason: outcome.replyLost });
    if (outcome.reply === undefined) return;
    const { data, isBinary } = outcome.reply;
    const result = await push(self.delivery.connectionId, data, isBinary);
    if (result !== 'sent') events.replyFailed({ ...facts, reason: result });
  }

  async function fail(self: Attempt, rule: string | undefined, failure: Failure): Promise<void> {
    const { delivery, settings } = self;
    const entry: ErrorEntry = errors[failure.error];
    if (entry.delivery === 'deadLetter' || delivery.attempt >= settings.maxAttempts) {
      return bury(self, rule, failure);
    }
    const delayMs = retryDelayMs(settings.backoffMs, delivery.attempt, failure.retryAfterMs ?? 0, random());
    delivery.nak(delayMs);
    const { error, detail, status } = failure;
    events.deliveryRetried({ ...factsOf(self, rule), error, detail, status, delayMs });
  }

  async function bury(self: Attempt, rule: string | undefined, failure: Failure): Promise<void> {
    const { delivery, settings } = self;
    const { error, detail, status } = failure;
    const cause: DeadLetterCause = {
      code: error,
      detail,
      ...(status === undefined ? {} : { status }),
      ...(rule === undefined ? {} : { rule }),
    };
    const burial = await burials.bury(settings.consumer.processor, delivery, cause);
    if (burial === 'stopped') return;
    if (burial === 'refused') {
      delivery.nak(Math.max(...settings.backoffMs));
      events.busProblem(new HydrogenError('HYD_DEAD_LETTERS_REFUSED', `message ${delivery.id} waits`));
      return;
    }
    delivery.term(error);
    events.deliveryDeadLettered({ ...factsOf(self, rule), error, detail, status });
  }

  return attempt;
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
