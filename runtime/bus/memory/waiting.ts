/** Waiting rooms of the memory bus. Each is a consumer of its own, over a store that all buses share and that is bounded. */

import type { ConsumerOptions, Delivery } from '../port/messages.ts';
import type { Parked, Parking, RoomOptions, WaitingBus, WaitingRoom } from '../port/waiting.ts';
import { checkedName, checkedRoom } from '../subjects.ts';
import { ConnectionCounts } from './connection-counts.ts';
import { MemoryConsumer } from './consumer.ts';
import type { Replica, Stored } from './lanes.ts';
import type { MemoryLink } from './link.ts';
import type { StoreLimits } from './store.ts';

interface MemoryRoom {
  readonly consumer: MemoryConsumer;
  messages: number;
  bytes: number;
}

/** How many parkings are remembered, so that the same source is not stored twice. */
const maxRemembered = 10_000;
/** Until the first replica enters the room. */
const firstAckTimeoutMs = 30_000;

export class WaitingStore {
  readonly #limits: StoreLimits;
  /** By processor and name. */
  readonly #rooms = new Map<string, Map<string, MemoryRoom>>();
  readonly #parked = new Set<string>();
  /** Waiting messages by connection id. */
  readonly #perConnection = new ConnectionCounts();
  #messages = 0;
  #bytes = 0;
  #lastNumber = 0;

  /** @param limits of all rooms together; each may take half of it */
  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  get stored(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#messages, bytes: this.#bytes };
  }

  park(processor: string, name: string, delivery: Delivery, parking: Parking): 'stored' | 'full' {
    const key = `${processor} ${delivery.source}`;
    if (this.#parked.has(key)) return 'stored';
    const { id, connectionId, endpoint, callbackUrl, payload, isReplay, storedAtMs } = delivery;
    if (this.#isFull(this.#rooms.get(processor)?.get(name), payload.byteLength)) return 'full';
    this.#remember(key);
    const room = this.#roomOf(processor, name);
    this.#count(room, 1, payload.byteLength);
    this.#perConnection.add(connectionId, 1);
    room.consumer.enqueue({
      message: { id, connectionId, endpoint, callbackUrl, payload },
      isReplay,
      storedAtMs,
      number: ++this.#lastNumber,
      parking: { ...parking, room: name },
      holders: 1,
    });
    return 'stored';
  }

  /** Messages of a connection in all rooms. */
  storedOf(connectionId: string): number {
    return this.#perConnection.of(connectionId);
  }

  /** The rooms of a processor that hold messages. */
  counts(processor: string): Map<string, number> {
    const counts = new Map<string, number>();
    for (const [name, { messages }] of this.#rooms.get(processor) ?? []) if (messages > 0) counts.set(name, messages);
    return counts;
  }

  /** Messages in all rooms of a processor. */
  countOf(processor: string): number {
    let sum = 0;
    for (const { messages } of this.#rooms.get(processor)?.values() ?? []) sum += messages;
    return sum;
  }

  attach(processor: string, name: string, ackTimeoutMs: number, replica: Replica): MemoryConsumer {
    const { consumer } = this.#roomOf(processor, name);
    consumer.configure(roomConsumer(processor, ackTimeoutMs));
    consumer.attach(replica);
    return consumer;
  }

  detach(processor: string, name: string, replica: Replica): void {
    void this.#rooms.get(processor)?.get(name)?.consumer.detach(replica);
    this.#tidy(processor, name);
  }

  /** Retries everything that waits for its bus. */
  wake(): void {
    for (const rooms of this.#rooms.values()) for (const { consumer } of rooms.values()) consumer.wake();
  }

  #isFull(room: MemoryRoom | undefined, bytes: number): boolean {
    const { maxStoredMessages, maxStoredBytes } = this.#limits;
    return (
      this.#messages >= maxStoredMessages ||
      this.#bytes + bytes > maxStoredBytes ||
      (room?.messages ?? 0) >= maxStoredMessages / 2 ||
      (room?.bytes ?? 0) + bytes > maxStoredBytes / 2
    );
  }

  #roomOf(processor: string, name: string): MemoryRoom {
    const rooms = this.#rooms.get(processor) ?? new Map<string, MemoryRoom>();
    this.#rooms.set(processor, rooms);
    let room = rooms.get(name);
    if (room !== undefined) return room;
    const release = ({ message }: Stored): void => {
      this.#perConnection.add(message.connectionId, -1);
      this.#release(processor, name, message.payload.byteLength);
    };
    const consumer = new MemoryConsumer(roomConsumer(processor, firstAckTimeoutMs), release);
    room = { consumer, messages: 0, bytes: 0 };
    rooms.set(name, room);
    return room;
  }

  #release(processor: string, name: string, bytes: number): void {
    const room = this.#rooms.get(processor)?.get(name);
    if (room === undefined) return;
    this.#count(room, -1, -bytes);
    this.#tidy(processor, name);
  }

  #count(room: MemoryRoom, messages: number, bytes: number): void {
    room.messages += messages;
    room.bytes += bytes;
    this.#messages += messages;
    this.#bytes += bytes;
  }

  #tidy(processor: string, name: string): void {
    const room = this.#rooms.get(processor)?.get(name);
    if (room === undefined || room.messages > 0 || room.consumer.hasReplicas) return;
    room.consumer.stop();
    this.#rooms.get(processor)?.delete(name);
  }

  #remember(key: string): void {
    for (const oldest of this.#parked) {
      if (this.#parked.size < maxRemembered) break;
      this.#parked.delete(oldest);
    }
    this.#parked.add(key);
  }
}

export class MemoryWaiting implements WaitingBus {
  readonly #link: MemoryLink;
  readonly #store: WaitingStore;
  readonly #entered = new Set<WaitingRoom>();

  constructor(link: MemoryLink, store: WaitingStore) {
    this.#link = link;
    this.#store = store;
  }

  async park(processor: string, room: string, delivery: Delivery, parking: Parking): Promise<Parked> {
    checkedName(processor);
    checkedRoom(room);
    if (!this.#link.isUp) return 'unavailable';
    const parked = this.#store.park(processor, room, delivery, parking);
    if (parked === 'stored') delivery.ack();
    return parked;
  }

  async rooms(processor: string): Promise<ReadonlyMap<string, number> | undefined> {
    checkedName(processor);
    return this.#link.isUp ? this.#store.counts(processor) : undefined;
  }

  enter(
    processor: string,
    name: string,
    { ackTimeoutMs, maxOpen }: RoomOptions,
    onDelivery: (delivery: Delivery) => void,
  ): WaitingRoom {
    const [link, store, entered] = [this.#link, this.#store, this.#entered];
    const replica: Replica = { maxInFlight: maxOpen, onDelivery, link, open: 0 };
    const consumer = store.attach(checkedName(processor), checkedRoom(name), ackTimeoutMs, replica);
    const room: WaitingRoom = {
      get maxOpen() {
        return replica.maxInFlight;
      },
      set maxOpen(next) {
        replica.maxInFlight = next;
        consumer.wake();
      },
      count: async () => (link.isUp ? (store.counts(processor).get(name) ?? 0) : undefined),
      stop: async () => {
        entered.delete(room);
        store.detach(processor, name, replica);
      },
    };
    entered.add(room);
    return room;
  }

  stop(): void {
    for (const room of this.#entered) void room.stop();
  }
}

function roomConsumer(processor: string, ackTimeoutMs: number): ConsumerOptions {
  return {
    processor,
    endpoints: undefined,
    ackTimeoutMs,
    maxInFlight: 0,
    ordering: 'Unordered',
    partitions: 1,
  };
}
