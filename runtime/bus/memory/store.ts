/**
 * The client messages and durable consumers that the buses of one process share. It takes the place of the NATS server;
 * nothing survives the process.
 */

import { Fifo } from '../../fifo.ts';
import type { ClientMessage } from '../port/client-message.ts';
import type { ConsumerOptions } from '../port/messages.ts';
import { ConnectionCounts } from './connection-counts.ts';
import { MemoryConsumer } from './consumer.ts';
import type { Stored } from './lanes.ts';

export interface StoreLimits {
  readonly maxStoredMessages: number;
  readonly maxStoredBytes: number;
}

/** The publisher of a message. */
export interface StorePublisher {
  /** While false its messages stay where they are. */
  readonly isUp: boolean;
  admitted(pending: PendingMessage): void;
}

/** A message that waits until the store takes it. */
export interface PendingMessage {
  readonly message: ClientMessage;
  readonly publisher: StorePublisher;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class MessageStore {
  readonly #limits: StoreLimits;
  readonly #consumers = new Map<string, MemoryConsumer>();
  readonly #listeners: (() => void)[] = [];
  /** Messages waiting for room, in order of arrival. */
  readonly #waiting = new Fifo<PendingMessage>();
  /** Messages waiting for their bus to come up, or for a consumer of their endpoint. */
  readonly #parked = new Fifo<PendingMessage>();
  /** Stored messages by connection id. */
  readonly #perConnection = new ConnectionCounts();
  #messages = 0;
  #bytes = 0;
  #lastNumber = 0;
  #lastReplayAtMs = 0;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  get stored(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#messages, bytes: this.#bytes };
  }

  storedOf(connectionId: string): number {
    return this.#perConnection.of(connectionId);
  }

  get isFull(): boolean {
    return this.#messages >= this.#limits.maxStoredMessages || this.#bytes >= this.#limits.maxStoredBytes;
  }

  /** Called on every change of consumers, room and reachability. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  offer(pending: PendingMessage): void {
    if (!pending.publisher.isUp) {
      this.#parked.push(pending);
      return;
    }
    this.#waiting.push(pending);
    if (this.#waiting.length === 1) this.#admit();
  }

  /** Removes the waiting messages of a publisher. */
  withdraw(publisher: StorePublisher): void {
    for (const queue of [this.#waiting, this.#parked]) {
      for (const pending of queue.drain()) if (pending.publisher !== publisher) queue.push(pending);
    }
  }

  /** The durable consumer of a processor: created if missing, and configured. */
  consume(processor: string, options: ConsumerOptions): MemoryConsumer {
    const known = this.#consumers.get(processor);
    known?.configure(options);
    const consumer = known ?? new MemoryConsumer(options, (stored) => this.#release(stored));
    this.#consumers.set(processor, consumer);
    queueMicrotask(() => this.wake());
    return consumer;
  }

  consumerOf(processor: string): MemoryConsumer | undefined {
    return this.#consumers.get(processor);
  }

  isConsumed(endpoint: string): boolean {
    for (const consumer of this.#consumers.values()) if (consumer.covers(endpoint)) return true;
    return false;
  }

  /** Keeps a message until each of these consumers has consumed it. */
  hold(message: ClientMessage, holders: readonly MemoryConsumer[], isReplay: boolean): void {
    if (holders.length === 0) return;
    this.#messages++;
    this.#perConnection.add(message.connectionId, 1);
    this.#bytes += message.payload.byteLength;
    const stored: Stored = {
      message,
      isReplay,
      storedAtMs: isReplay ? this.#replayTimeMs() : Date.now(),
      number: ++this.#lastNumber,
      parking: undefined,
      holders: holders.length,
    };
    for (const consumer of holders) consumer.enqueue(stored);
  }

  /** Retries everything that waits. */
  wake(): void {
    for (const consumer of this.#consumers.values()) consumer.wake();
    // What was parked is older than what waits.
    const later = this.#waiting.drain();
    for (const pending of this.#parked.drain()) (pending.publisher.isUp ? this.#waiting : this.#parked).push(pending);
    for (const pending of later) this.#waiting.push(pending);
    this.#admit();
    this.#changed();
  }

  /** No two replays have the same, since dead letters distinguish them by it. */
  #replayTimeMs(): number {
    this.#lastReplayAtMs = Math.max(Date.now(), this.#lastReplayAtMs + 1);
    return this.#lastReplayAtMs;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #release(stored: Stored): void {
    stored.holders--;
    if (stored.holders > 0) return;
    this.#messages--;
    this.#perConnection.add(stored.message.connectionId, -1);
    this.#bytes -= stored.message.payload.byteLength;
    if (this.#waiting.length > 0) this.#admit();
  }

  // In order of arrival. Every message here arrived while its bus was up, so if the bus of the first is down, all are.
  #admit(): void {
    const wasFull = this.isFull;
    while (!this.isFull && this.#waiting.peek()?.publisher.isUp) {
      const pending = this.#waiting.shift();
      if (pending === undefined) break;
      const { message } = pending;
      const holders = Array.from(this.#consumers.values()).filter((consumer) => consumer.covers(message.endpoint));
      if (holders.length === 0) {
        this.#parked.push(pending);
        continue;
      }
      this.hold(message, holders, false);
      pending.publisher.admitted(pending);
    }
    if (wasFull !== this.isFull) this.#changed();
  }
}
