/** Client messages on the memory bus: published to the store that all buses share, consumed as a replica of a processor. */

import { HydrogenError } from '../../errors.ts';
import type { ClientMessage } from '../port/client-message.ts';
import type {
  ConsumerOptions,
  Consumption,
  ConsumptionListener,
  Delivery,
  MessageBus,
  Remainder,
} from '../port/messages.ts';
import type { PublishLimits, Unacknowledged } from '../port/pressure.ts';
import { checkedName, type Subjects } from '../subjects.ts';
import type { MemoryConsumer } from './consumer.ts';
import type { Replica } from './lanes.ts';
import type { MemoryLink } from './link.ts';
import type { MessageStore, PendingMessage, StorePublisher } from './store.ts';
import type { WaitingStore } from './waiting.ts';

export class MemoryMessages implements MessageBus, StorePublisher {
  readonly #link: MemoryLink;
  readonly #store: MessageStore;
  readonly #waiting: WaitingStore;
  readonly #subjects: Subjects;
  readonly #limits: PublishLimits;
  readonly #unacknowledged = new Set<PendingMessage>();
  readonly #flushed = new Set<() => void>();
  /** The replicas that consume through this bus. */
  readonly #replicas = new Map<Replica, MemoryConsumer>();
  readonly #pressureListeners: ((isPressed: boolean) => void)[] = [];
  readonly #consumerListeners: (() => void)[] = [];
  #unacknowledgedBytes = 0;
  #wasPressed = true;

  constructor(link: MemoryLink, store: MessageStore, waiting: WaitingStore, subjects: Subjects, limits: PublishLimits) {
    this.#link = link;
    this.#store = store;
    this.#waiting = waiting;
    this.#subjects = subjects;
    this.#limits = limits;
  }

  get maxPayloadBytes(): number {
    return this.#link.maxPayloadBytes;
  }

  get isPressed(): boolean {
    return (
      !this.#link.isUp ||
      this.#store.isFull ||
      this.#unacknowledged.size > this.#limits.maxUnacknowledgedMessages ||
      this.#unacknowledgedBytes > this.#limits.maxUnacknowledgedBytes
    );
  }

  get unacknowledged(): Unacknowledged {
    return { messages: this.#unacknowledged.size, bytes: this.#unacknowledgedBytes };
  }

  get isUp(): boolean {
    return this.#link.isUp;
  }

  onPressure(listener: (isPressed: boolean) => void): void {
    this.#pressureListeners.push(listener);
  }

  async flush(timeoutMs: number): Promise<string[]> {
    if (this.#unacknowledged.size > 0) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#flushed.delete(done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        this.#flushed.add(done);
      });
    }
    return [...new Set(Array.from(this.#unacknowledged, ({ message }) => message.connectionId))];
  }

  publish(message: ClientMessage): Promise<number> {
    return new Promise((settle, reject) => {
      if (this.#link.state === 'stopped') throw new HydrogenError('HYD_BUS_STOPPED');
      this.#link.checkSize(message.payload);
      this.#subjects.clientMessage(message.endpoint, message.connectionId);
      const pending: PendingMessage = { message, publisher: this, resolve: () => settle(0), reject };
      this.#unacknowledged.add(pending);
      this.#unacknowledgedBytes += message.payload.byteLength;
      this.#store.offer(pending);
      this.weigh();
    });
  }

  // Each message is stored by itself, and counted.
  async remainder(_endpoint: string, connectionId: string): Promise<Remainder | undefined> {
    if (!this.#link.isUp) return undefined;
    const counted = this.#store.storedOf(connectionId) + this.#waiting.storedOf(connectionId);
    return { position: 1, end: 1, counted };
  }

  isConsumed(endpoint: string): boolean {
    return this.#store.isConsumed(endpoint);
  }

  onConsumers(listener: () => void): void {
    this.#consumerListeners.push(listener);
  }

  consume(
    options: ConsumerOptions,
    onDelivery: (delivery: Delivery) => void,
    _onProblem: (error: HydrogenError) => void,
    { onWithdrawn }: ConsumptionListener = {},
  ): Consumption {
    const link = this.#link;
    const replicas = this.#replicas;
    const waiting = this.#waiting;
    const consumer = this.#store.consume(checkedName(options.processor), options);
    const replica: Replica = { maxInFlight: options.maxInFlight, onDelivery, onWithdrawn, link, open: 0 };
    replicas.set(replica, consumer);
    consumer.attach(replica);
    return {
      get maxOpen() {
        return replica.maxInFlight;
      },
      set maxOpen(next) {
        replica.maxInFlight = next;
        consumer.wake();
      },
      get isReady() {
        return link.isUp && replicas.has(replica);
      },
      get lanes() {
        return consumer.lanesOf(replica);
      },
      lag: async () => {
        if (!link.isUp) return undefined;
        const { pending, unacknowledged } = consumer.lag();
        return { pending: pending + waiting.countOf(options.processor), unacknowledged };
      },
      stop: async () => {
        replicas.delete(replica);
        await consumer.detach(replica);
      },
    };
  }

  stop(): void {
    for (const [replica, consumer] of this.#replicas) void consumer.detach(replica, true);
    this.#store.withdraw(this);
    for (const { reject } of this.#unacknowledged) reject(new HydrogenError('HYD_BUS_STOPPED'));
    this.#unacknowledged.clear();
    this.#unacknowledgedBytes = 0;
    for (const done of this.#flushed) done();
  }

  admitted(pending: PendingMessage): void {
    this.#unacknowledged.delete(pending);
    this.#unacknowledgedBytes -= pending.message.payload.byteLength;
    pending.resolve();
    if (this.#unacknowledged.size === 0) for (const done of this.#flushed) done();
    this.weigh();
  }

  /** Notifies the listeners when `isPressed` has changed. */
  weigh(): void {
    const { isPressed } = this;
    if (isPressed === this.#wasPressed) return;
    this.#wasPressed = isPressed;
    for (const listener of this.#pressureListeners) listener(isPressed);
  }

  notifyConsumers(): void {
    for (const listener of this.#consumerListeners) listener();
  }
}
