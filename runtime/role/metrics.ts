/**
 * The metrics of a gateway and of a message processor. Counting on the hot path is an addition to a plain number;
 * Prometheus reads the numbers when it scrapes. One registry per role, so that several roles can share a process. Every
 * label has one meaning and a bounded set of values; docs/operations.md lists them.
 */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { createRegistry } from '../../process/registry.ts';
import { closeCodes } from '../close.ts';
import type { ErrorCode } from '../errors.ts';
import type { ReplyOutcome } from './events.ts';

/** Numbers by the value of one label, created at first use. */
class Tally<Label extends string = string> {
  readonly #counts = new Map<Label, number>();

  add(label: Label, amount = 1): void {
    this.#counts.set(label, (this.#counts.get(label) ?? 0) + amount);
  }

  get total(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum;
  }

  entries(): Iterable<[label: Label, count: number]> {
    return this.#counts.entries();
  }
}

/** Read at each scrape. */
export interface GatewayGauges {
  connections(): Iterable<[endpoint: string, count: number]>;
  /** Connections, counted once for each channel that they are in. */
  memberships(): number;
  unacknowledged(): { readonly messages: number; readonly bytes: number };
  isBusUp(): boolean;
  isPressed(): boolean;
  /** Held connections by reason. */
  held(): Iterable<[reason: string, count: number]>;
}

/** What is asked of the connections of a user, of a channel, or of all. */
export type QuestionKind = 'send' | 'disconnect' | 'join' | 'leave' | 'list';
/** `request`: to the owner of a connection. `question`: about users, channels and lists. */
export type PeerMessageKind = 'request' | 'broadcast' | 'question';
export type HookName = 'authorizer' | 'connect' | 'disconnect';
/** `refused`: the upgrade was refused. `givenUp`: the last attempt of a disconnect hook failed. */
export type HookOutcome = 'ok' | 'refused' | 'givenUp';

/** `refused`: there is none, or it is not good. `unavailable`: it could not be found out. */
export type TokenOutcome = 'ok' | 'refused' | 'unavailable';

/** Clients and services choose close codes: those without a name in the table share a series. */
const knownCloseCodes: ReadonlySet<number> = new Set(Object.values(closeCodes));

export class GatewayMetrics {
  readonly registry = createRegistry();
  readonly opened = new Tally();
  readonly refused = new Tally<ErrorCode>();
  /** Connections whose time was over. */
  readonly expired = new Tally<ErrorCode>();
  readonly received = new Tally();
  readonly receivedBytes = new Tally();
  readonly peersUnreadable = new Tally<PeerMessageKind>();
  readonly questions = new Tally<QuestionKind>();
  readonly sent = new Tally();
  readonly sentBytes = new Tally();
  readonly hooks: Readonly<Record<HookName, Tally<HookOutcome>>> = {
    authorizer: new Tally(),
    connect: new Tally(),
    disconnect: new Tally(),
  };
  readonly tokens = new Tally<TokenOutcome>();
  readonly keyFetches = new Tally<'ok' | 'failed'>();
  readonly #closed = new Tally();

  constructor(gauges: GatewayGauges) {
    const metrics = new Metrics(this.registry, 'hydrogen_gateway_');
    metrics.gauge('connections', 'Open connections', 'endpoint', gauges.connections);
    metrics.counter('connections_opened_total', 'Connections opened', 'endpoint', this.opened);
    metrics.counter('connections_closed_total', 'Connections closed', 'close_code', this.#closed);
    metrics.counter('connections_expired_total', 'Connections whose time was over', 'code', this.expired);
    metrics.counter('upgrades_refused_total', 'Upgrades refused, by error code', 'code', this.refused);
    metrics.counter('messages_received_total', 'Client messages', 'endpoint', this.received);
    metrics.counter('received_bytes_total', 'Bytes of client messages', 'endpoint', this.receivedBytes);
    metrics.counter('messages_sent_total', 'Messages written to clients', 'endpoint', this.sent);
    metrics.counter('sent_bytes_total', 'Bytes of messages written to clients', 'endpoint', this.sentBytes);
    metrics.counters('hooks_total', 'Hook calls', ['hook', 'outcome'], () => this.#hookCalls());
    metrics.counter('tokens_total', 'Tokens of clients', 'outcome', this.tokens);
    metrics.counter('key_fetches_total', 'Fetches of the keys of token issuers', 'outcome', this.keyFetches);
    metrics.counter(
      'questions_total',
      'Requests about users, channels and lists that concerned connections of this gateway',
      'kind',
      this.questions,
    );
    metrics.gauge(
      'channel_memberships',
      'Connections, counted once for each channel that they are in',
      undefined,
      () => [['', gauges.memberships()]],
    );
    metrics.counter(
      'peer_messages_unreadable_total',
      'Messages of peers that were dropped, since no member of the group writes such',
      'kind',
      this.peersUnreadable,
    );
    metrics.gauge('messages_unacknowledged', 'Client messages that the bus has not acknowledged', undefined, () => [
      ['', gauges.unacknowledged().messages],
    ]);
    metrics.gauge(
      'unacknowledged_bytes',
      'Bytes of client messages that the bus has not acknowledged',
      undefined,
      () => [['', gauges.unacknowledged().bytes]],
    );
    metrics.flag('bus_up', '1 while the bus is connected', gauges.isBusUp);
    metrics.gauge('connections_held', 'Connections that are not read from, by reason', 'reason', gauges.held);
    metrics.flag('pressed', '1 while reading from clients is held because of the bus', gauges.isPressed);
  }

  closed(closeCode: number): void {
    this.#closed.add(knownCloseCodes.has(closeCode) ? String(closeCode) : 'other');
  }

  /** Since the start, for the statistics in the log. */
  totals(): Readonly<Record<string, number>> {
    return {
      opened: this.opened.total,
      closed: this.#closed.total,
      expired: this.expired.total,
      refused: this.refused.total,
      messagesIn: this.received.total,
      bytesIn: this.receivedBytes.total,
      messagesOut: this.sent.total,
      bytesOut: this.sentBytes.total,
    };
  }

  *#hookCalls(): Iterable<[labels: string[], count: number]> {
    for (const [hook, tally] of Object.entries(this.hooks)) {
      for (const [outcome, count] of tally.entries()) yield [[hook, outcome], count];
    }
  }
}

/** Read at each scrape. */
export interface ProcessorGauges {
  inFlight(): number;
  /** Messages in each waiting room. */
  waiting(): Iterable<[rule: string, messages: number]>;
  /** Messages that wait in this process. */
  held(): Iterable<[rule: string, messages: number]>;
  /** Destinations that get no requests, or only a few to try them. */
  open(): Iterable<[rule: string, isOpen: number]>;
  /** Age of the oldest open message of each rule. */
  oldestSeconds(): Iterable<[rule: string, seconds: number]>;
  /** Lanes that this process owns; undefined unless ordered. */
  lanes(): number | undefined;
  lag(): Promise<{ readonly pending: number; readonly unacknowledged: number } | undefined>;
  isBusUp(): boolean;
}

/** The label `rule` of a message that no rule matched: Prometheus treats an empty label as a missing one. */
export const noRule = '';

const attemptBucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export class ProcessorMetrics {
  readonly registry = createRegistry();
  readonly consumed = new Tally();
  readonly retried = new Tally();
  readonly deadLettered = new Tally();
  readonly replies = new Tally<ReplyOutcome>();
  dropped = 0;
  /** Lanes taken over from replicas that fell silent. */
  takenOver = 0;
  readonly #attemptSeconds: Histogram;

  constructor(gauges: ProcessorGauges) {
    const { registry } = this;
    const prefix = 'hydrogen_processor_';
    const metrics = new Metrics(registry, prefix);
    metrics.counter('consumed_total', 'Messages consumed by a destination', 'rule', this.consumed);
    metrics.gauge('lanes', 'Lanes that this process owns, with ordering: PerConnection', undefined, () => {
      const lanes = gauges.lanes();
      return lanes === undefined ? [] : [['', lanes]];
    });
    metrics.counters('lanes_taken_over_total', 'Lanes taken over from processors that fell silent', [], () => [
      [[], this.takenOver],
    ]);
    metrics.counter('retried_total', 'Failed attempts that are retried', 'rule', this.retried);
    metrics.counter('dead_lettered_total', 'Messages moved to the dead letters', 'rule', this.deadLettered);
    metrics.counters('dropped_total', 'Messages that no rule matched, dropped', [], () => [[[], this.dropped]]);
    metrics.counter('replies_total', 'Replies to clients', 'outcome', this.replies);
    metrics.gauge('in_flight', 'Deliveries open in this process', undefined, () => [['', gauges.inFlight()]]);
    metrics.gauge('waiting', 'Messages in the waiting room of a destination', 'rule', gauges.waiting);
    metrics.gauge('held', 'Messages that wait in this process for a destination', 'rule', gauges.held);
    metrics.gauge('circuit_open', '1 while a destination gets no requests', 'rule', gauges.open);
    metrics.gauge('oldest_seconds', 'Age of the oldest message open in this process', 'rule', gauges.oldestSeconds);
    metrics.flag('bus_up', '1 while the bus is connected', gauges.isBusUp);
    this.#attemptSeconds = new Histogram({
      name: `${prefix}delivery_seconds`,
      help: 'Duration of delivery attempts',
      labelNames: ['rule'],
      buckets: attemptBucketsSeconds,
      registers: [registry],
    });
    addLag(registry, prefix, gauges);
  }

  observeSeconds(rule: string, seconds: number): void {
    this.#attemptSeconds.observe({ rule }, seconds);
  }

  /** Since the start, for the statistics in the log. */
  totals(): Readonly<Record<string, number>> {
    const { consumed, retried, deadLettered, dropped, replies } = this;
    return {
      consumed: consumed.total,
      retried: retried.total,
      deadLettered: deadLettered.total,
      dropped,
      replies: replies.total,
    };
  }
}

/** Both are read with one request. While the lag can't be known, the last values stay. */
function addLag(registry: Registry, prefix: string, gauges: ProcessorGauges): void {
  const unacknowledged = new Gauge({
    name: `${prefix}unacknowledged`,
    help: 'Messages of this processor delivered to a replica and not ended',
    registers: [registry],
  });
  new Gauge({
    name: `${prefix}pending`,
    help: 'Messages of this processor that are stored and not consumed, waiting rooms included',
    registers: [registry],
    async collect() {
      const lag = await gauges.lag();
      if (lag === undefined) return;
      this.set(lag.pending);
      unacknowledged.set(lag.unacknowledged);
    },
  });
}

/** Metrics whose numbers are kept elsewhere and read at each scrape. */
class Metrics {
  readonly #registry: Registry;
  readonly #prefix: string;

  constructor(registry: Registry, prefix: string) {
    this.#registry = registry;
    this.#prefix = prefix;
  }

  counter(name: string, help: string, label: string, tally: Tally): void {
    this.counters(name, help, [label], function* () {
      for (const [value, count] of tally.entries()) yield [[value], count];
    });
  }

  counters(
    name: string,
    help: string,
    labelNames: string[],
    values: () => Iterable<[labels: string[], count: number]>,
  ): void {
    new Counter({
      name: this.#prefix + name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, count] of values()) this.labels(...labels).inc(count);
      },
    });
  }

  gauge(name: string, help: string, label: string | undefined, values: () => Iterable<[string, number]>): void {
    new Gauge({
      name: this.#prefix + name,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [value, count] of values()) this.set(label === undefined ? {} : { [label]: value }, count);
      },
    });
  }

  flag(name: string, help: string, isSet: () => boolean): void {
    this.gauge(name, help, undefined, () => [['', isSet() ? 1 : 0]]);
  }
}
