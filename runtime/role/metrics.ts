/**
 * Counting on the hot path is an addition to a plain number; Prometheus reads the numbers when it scrapes. One registry
 * per gateway or processor, so that several can live in one process. docs/operations.md lists every name.
 */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { createRegistry } from '../../process/registry.ts';

/** Numbers by label value, created at first use. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(label: string, amount = 1): void {
    this.#counts.set(label, (this.#counts.get(label) ?? 0) + amount);
  }

  get total(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum;
  }

  entries(): IterableIterator<[string, number]> {
    return this.#counts.entries();
  }
}

/** What a gateway counts, from its start. */
export interface GatewayCounts {
  readonly opened: Tally;
  readonly closed: Tally;
  readonly refused: Tally;
  readonly received: Tally;
  readonly receivedBytes: Tally;
  readonly sent: Tally;
  readonly sentBytes: Tally;
  readonly hooks: Tally;
}

export function createGatewayCounts(): GatewayCounts {
  const tally = (): Tally => new Tally();
  return {
    opened: tally(),
    closed: tally(),
    refused: tally(),
    received: tally(),
    receivedBytes: tally(),
    sent: tally(),
    sentBytes: tally(),
    hooks: tally(),
  };
}

/** What a gateway is asked for at a scrape. */
export interface GatewayGauges {
  connections(): Iterable<[endpoint: string, count: number]>;
  unacknowledged(): { readonly messages: number; readonly bytes: number };
  isBusUp(): boolean;
  isPressed(): boolean;
}

export function createGatewayRegistry(counts: GatewayCounts, gauges: GatewayGauges): Registry {
  const registry = createRegistry();
  const prefix = 'hydrogen_gateway_';
  gauge(registry, `${prefix}connections`, 'Open connections', 'endpoint', gauges.connections);
  counter(registry, `${prefix}connections_opened_total`, 'Connections opened', 'endpoint', counts.opened);
  counter(registry, `${prefix}connections_closed_total`, 'Connections closed, by close code', 'code', counts.closed);
  counter(registry, `${prefix}upgrades_refused_total`, 'Upgrades refused, by error code', 'code', counts.refused);
  counter(registry, `${prefix}messages_received_total`, 'Messages of clients', 'endpoint', counts.received);
  counter(registry, `${prefix}received_bytes_total`, 'Bytes of messages of clients', 'endpoint', counts.receivedBytes);
  counter(registry, `${prefix}messages_sent_total`, 'Messages written to clients', 'endpoint', counts.sent);
  counter(registry, `${prefix}sent_bytes_total`, 'Bytes of messages written to clients', 'endpoint', counts.sentBytes);
  counter(registry, `${prefix}hooks_total`, 'Hook calls, by hook and outcome', 'outcome', counts.hooks);
  gauge(registry, `${prefix}messages_unacknowledged`, 'Client messages the bus has not acknowledged', undefined, () => [
    ['', gauges.unacknowledged().messages],
  ]);
  gauge(registry, `${prefix}unacknowledged_bytes`, 'Their payload bytes', undefined, () => [
    ['', gauges.unacknowledged().bytes],
  ]);
  flag(registry, `${prefix}bus_up`, '1 while the bus is connected', gauges.isBusUp);
  flag(registry, `${prefix}pressed`, '1 while clients are not read from because of the bus', gauges.isPressed);
  return registry;
}

/** What a message processor counts, from its start. */
export interface ProcessorCounts {
  readonly consumed: Tally;
  readonly retried: Tally;
  readonly deadLettered: Tally;
  readonly dropped: Tally;
  readonly replies: Tally;
}

export function createProcessorCounts(): ProcessorCounts {
  return {
    consumed: new Tally(),
    retried: new Tally(),
    deadLettered: new Tally(),
    dropped: new Tally(),
    replies: new Tally(),
  };
}

export interface ProcessorGauges {
  inFlight(): number;
  lag(): Promise<{ readonly pending: number; readonly unacknowledged: number } | undefined>;
  isBusUp(): boolean;
}

/** @returns the registry, and what takes the duration of each attempt in seconds. */
export function createProcessorRegistry(
  counts: ProcessorCounts,
  gauges: ProcessorGauges,
): { registry: Registry; observeSeconds: (route: string, seconds: number) => void } {
  const registry = createRegistry();
  const prefix = 'hydrogen_processor_';
  counter(registry, `${prefix}consumed_total`, 'Messages consumed by a destination', 'route', counts.consumed);
  counter(registry, `${prefix}retried_total`, 'Failed attempts that are tried again', 'route', counts.retried);
  counter(registry, `${prefix}dead_lettered_total`, 'Messages moved to the dead letters', 'route', counts.deadLettered);
  counter(registry, `${prefix}dropped_total`, 'Messages that no rule matched, dropped', 'route', counts.dropped);
  counter(registry, `${prefix}replies_total`, 'Replies to clients, by outcome', 'outcome', counts.replies);
  gauge(registry, `${prefix}in_flight`, 'Deliveries open in this process', undefined, () => [['', gauges.inFlight()]]);
  flag(registry, `${prefix}bus_up`, '1 while the bus is connected', gauges.isBusUp);
  const unacknowledged = new Gauge({
    name: `${prefix}unacknowledged`,
    help: 'Messages of this processor delivered to a replica and not ended',
    registers: [registry],
  });
  new Gauge({
    name: `${prefix}pending`,
    help: 'Messages of this processor waiting on the stream',
    registers: [registry],
    async collect() {
      const lag = await gauges.lag();
      if (lag === undefined) return;
      this.set(lag.pending);
      unacknowledged.set(lag.unacknowledged);
    },
  });
  const seconds = new Histogram({
    name: `${prefix}delivery_seconds`,
    help: 'Duration of delivery attempts',
    labelNames: ['route'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  });
  return { registry, observeSeconds: (route, value) => seconds.observe({ route }, value) };
}

function counter(registry: Registry, name: string, help: string, label: string, tally: Tally): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of tally.entries()) this.inc({ [label]: value }, count);
    },
  });
}

type Values = () => Iterable<[label: string, value: number]>;

function gauge(registry: Registry, name: string, help: string, label: string | undefined, values: Values): void {
  new Gauge({
    name,
    help,
    labelNames: label === undefined ? [] : [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of values()) this.set(label === undefined ? {} : { [label]: value }, count);
    },
  });
}

function flag(registry: Registry, name: string, help: string, isSet: () => boolean): void {
  gauge(registry, name, help, undefined, () => [['', isSet() ? 1 : 0]]);
}
