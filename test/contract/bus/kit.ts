/** What the parts of the bus contract share: the environment that an implementation provides, and short helpers. */

import { randomUUID } from 'node:crypto';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import type { DeadMessage } from '../../../runtime/bus/port/dead-letters.ts';
import type { ConsumerOptions, Consumption, Delivery } from '../../../runtime/bus/port/messages.ts';
import type { PublishLimits } from '../../../runtime/bus/port/pressure.ts';
import type { HydrogenError } from '../../../runtime/errors.ts';
import { eventually } from '../../kit/eventually.ts';

export interface EnvironmentOptions {
  readonly leaseMs?: number;
  readonly publishLimits?: PublishLimits;
  /** Room of the store in payload bytes (an implementation may add its own overhead per message). */
  readonly maxStoredBytes?: number;
}

/** One empty group on one server, which the test may stop. */
export interface BusEnvironment extends AsyncDisposable {
  /** Another bus of the group, not started; stopped at disposal. */
  bus(): Bus;
  /** Stops the server, or starts it again with everything that it had stored. */
  setDown(isDown: boolean): Promise<void>;
}

export type MakeBusEnvironment = (options?: EnvironmentOptions) => Promise<BusEnvironment>;

/** A started bus that is up. */
export async function startBus(environment: BusEnvironment): Promise<Bus> {
  const bus = environment.bus();
  await bus.start();
  await eventually(() => bus.status === 'up');
  return bus;
}

/** Publishes messages of one connection and keeps account of what is left of them. */
export class Account {
  readonly #bus: Bus;
  readonly #endpoint: string;
  readonly #connectionId: string;
  readonly #positions: number[] = [];

  constructor(bus: Bus, connectionId = 'gw-1-abc', endpoint = '/chat') {
    this.#bus = bus;
    this.#connectionId = connectionId;
    this.#endpoint = endpoint;
  }

  async publish(payloads: readonly string[], isApart = false): Promise<void> {
    const [connectionId, endpoint] = [this.#connectionId, this.#endpoint];
    const all = payloads.map((payload) =>
      this.#bus.messages.publish(message({ connectionId, endpoint, payload: Buffer.from(payload) }), isApart),
    );
    this.#positions.push(...(await Promise.all(all)));
  }

  /** Its messages that may not be consumed; undefined while that can't be known. */
  async left(isApart = false): Promise<number | undefined> {
    const remainder = await this.#bus.messages.remainder(this.#endpoint, this.#connectionId, isApart);
    if (remainder === undefined) return undefined;
    return remainder.counted + this.#positions.filter((one) => one > 0 && one >= remainder.position).length;
  }
}

/** A message to publish, or as it was delivered. */
export function message(fields: Partial<DeadMessage> = {}): DeadMessage {
  return {
    id: randomUUID(),
    connectionId: 'gw-1-abc',
    endpoint: '/chat',
    callbackUrl: 'http://gateway:8081',
    payload: Buffer.from('hello'),
    isReplay: false,
    storedAtMs: 0,
    ...fields,
  };
}

export function text(payload: Uint8Array): string {
  return Buffer.from(payload).toString();
}

export interface Collected {
  readonly consumption: Consumption;
  readonly deliveries: Delivery[];
  readonly problems: HydrogenError[];
  /** Payloads of the deliveries as text. */
  texts(): string[];
  /** Resolves with the first delivery that has this text and attempt. */
  delivery(payload: string, attempt?: number): Promise<Delivery>;
}

/**
 * Consumes, and resolves once deliveries can arrive. @param onDelivery default: leaves every delivery open
 * @param timeoutMs how long that may take
 */
export async function collect(
  bus: Bus,
  options: Partial<ConsumerOptions> = {},
  onDelivery: (delivery: Delivery) => void = () => {},
  timeoutMs = 10_000,
): Promise<Collected> {
  const deliveries: Delivery[] = [];
  const problems: HydrogenError[] = [];
  const consumption = bus.messages.consume(
    {
      processor: 'chat',
      endpoints: undefined,
      ackTimeoutMs: 10_000,
      maxInFlight: 64,
      ordering: 'Unordered',
      partitions: 4,
      ...options,
    },
    (delivery) => {
      deliveries.push(delivery);
      onDelivery(delivery);
    },
    (problem) => problems.push(problem),
  );
  await eventually(() => consumption.isReady, { timeoutMs });
  return {
    consumption,
    deliveries,
    problems,
    texts: () => deliveries.map((delivery) => text(delivery.payload)),
    delivery: (payload, attempt = 1) =>
      eventually(() => {
        const found = deliveries.find((one) => text(one.payload) === payload && one.attempt === attempt);
        if (found === undefined) throw new Error(`no attempt ${attempt} of ${payload}`);
        return found;
      }),
  };
}

/** Acknowledges at once. */
export function ack(delivery: Delivery): void {
  delivery.ack();
}
