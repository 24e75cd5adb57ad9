/**
 * Waiting rooms on JetStream: one work-queue stream for the rooms of all processors of a group, in which a message has a
 * subject of its room, and one durable consumer for each room.
 */

import type { HydrogenError } from '../../errors.ts';
import type { Delivery } from '../port/messages.ts';
import type { Parked, Parking, RoomOptions, WaitingBus, WaitingRoom } from '../port/waiting.ts';
import { checkedName, checkedRoom } from '../subjects.ts';
import type { Acks } from './acks.ts';
import { NatsConsumption } from './consumption.ts';
import type { NatsCore } from './core.ts';
import { parkedHeaders } from './parked.ts';
import { Parker } from './parking.ts';
import { isRefused, jetStreamCodes } from './requests.ts';
import { RoomMeter } from './room-meter.ts';
import { RoomSource } from './room-source.ts';
import {
  countRoom,
  countRooms,
  countWaiting,
  createRoomConsumer,
  ensureWaitingStream,
  type RoomAddress,
  searchRooms,
} from './rooms.ts';

/** How often rooms without a consumer are looked for, at most. */
const searchEveryMs = 60_000;
/** How often the stream is created again, at most. */
const ensureEveryMs = 2000;
const maxKnown = 1024;

interface KnownRoom {
  readonly meter: RoomMeter;
  /** Resolves with true once it has a consumer. */
  readonly hasConsumer: Promise<boolean>;
}

export class NatsWaiting implements WaitingBus {
  readonly #core: NatsCore;
  readonly #acks: Acks;
  readonly #parker: Parker;
  /** Rooms that this process has parked in, the latest last. */
  readonly #known = new Map<string, KnownRoom>();
  readonly #entered = new Set<NatsConsumption>();
  #enteredCount = 0;
  #searchedAtMs = Number.NEGATIVE_INFINITY;
  #ensuredAtMs = Number.NEGATIVE_INFINITY;
  #ensuring: Promise<boolean> | undefined;

  constructor(core: NatsCore, acks: Acks) {
    this.#core = core;
    this.#acks = acks;
    this.#parker = new Parker(core.requests, core.subjects.waitingStream, () => this.#forget());
    // Rooms may have lost their consumers meanwhile.
    core.link.onStatus(() => this.#forget());
  }

  async park(processor: string, room: string, delivery: Delivery, parking: Parking): Promise<Parked> {
    const subject = this.#core.subjects.waitingMessage(processor, room, delivery.endpoint, delivery.connectionId);
    if (!this.#core.link.isUp) return 'unavailable';
    const { meter, hasConsumer } = this.#knownRoom({ processor, room });
    if (!(await hasConsumer)) return 'unavailable';
    if (meter.isFull()) return 'full';
    const headers = parkedHeaders(processor, delivery, parking);
    meter.add(subject.length + headers.length + delivery.payload.byteLength);
    const parked = await this.#parker.store(subject, headers, delivery.payload);
    if (parked === 'stored') delivery.ack();
    return parked;
  }

  // Counts come from consumers. Where somebody has deleted a room's consumer, the stream holds more than they know of.
  async rooms(processor: string): Promise<ReadonlyMap<string, number> | undefined> {
    const { link, requests, subjects } = this.#core;
    checkedName(processor);
    if (!link.isUp) return undefined;
    try {
      let uncounted = await countWaiting(requests, subjects);
      if (uncounted === 0) return new Map();
      const counts = await countRooms(requests, subjects);
      for (const rooms of counts.values()) for (const messages of rooms.values()) uncounted -= messages;
      const known = counts.get(processor) ?? new Map<string, number>();
      if (uncounted <= 0 || performance.now() - this.#searchedAtMs < searchEveryMs) return known;
      this.#searchedAtMs = performance.now();
      return new Map([...(await searchRooms(requests, subjects, processor)), ...known]);
    } catch {
      // Disconnected, or JetStream is not available: unknown.
      return undefined;
    }
  }

  enter(
    processor: string,
    room: string,
    { ackTimeoutMs, maxOpen }: RoomOptions,
    onDelivery: (delivery: Delivery) => void,
    onProblem: (error: HydrogenError) => void,
  ): WaitingRoom {
    const at = { processor: checkedName(processor), room: checkedRoom(room) };
    const source = new RoomSource(this.#core, at, ackTimeoutMs, (delivery) => this.#giveBack(delivery, at));
    const inbox = `${this.#core.link.inbox}.w${this.#enteredCount++}`;
    const consumption = new NatsConsumption(this.#core, this.#acks, source, { ackTimeoutMs, maxOpen }, inbox, {
      onDelivery,
      onProblem,
      onReadiness: () => {},
      onStopped: () => this.#entered.delete(consumption),
    });
    this.#entered.add(consumption);
    return {
      get maxOpen() {
        return consumption.maxOpen;
      },
      set maxOpen(next) {
        consumption.maxOpen = next;
      },
      count: async () => {
        const lag = await consumption.lag();
        return lag === undefined ? undefined : lag.pending + lag.unacknowledged;
      },
      stop: () => consumption.stop(),
    };
  }

  /** Ends every visit. Never rejects. */
  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#entered, (consumption) => consumption.stop()));
  }

  // A delivery that nobody has seen is no attempt; handing it back to the server would count as one.
  async #giveBack(delivery: Delivery, { processor, room }: RoomAddress): Promise<void> {
    const { attempt, dueAtMs, cause } = delivery;
    const parking = { attempts: attempt - 1, dueAtMs, ...(cause === undefined ? {} : { cause }) };
    if ((await this.park(processor, room, delivery, parking)) !== 'stored') delivery.nak(0);
  }

  #knownRoom(at: RoomAddress): KnownRoom {
    const key = `${at.processor} ${at.room}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { requests, subjects, options } = this.#core;
    const count = (): Promise<number | undefined> => countRoom(requests, subjects, at).catch(() => undefined);
    const room = {
      meter: new RoomMeter(options.stream.maxBytes / 4, count),
      hasConsumer: this.#createConsumer(at, key),
    };
    for (const oldest of this.#known.keys()) {
      if (this.#known.size < maxKnown) break;
      this.#known.delete(oldest);
    }
    this.#known.set(key, room);
    return room;
  }

  async #createConsumer(at: RoomAddress, key: string): Promise<boolean> {
    const { requests, subjects, options } = this.#core;
    const create = (): Promise<void> => createRoomConsumer(requests, subjects, options.stream, at);
    try {
      try {
        await create();
      } catch (err) {
        if (!isRefused(err, jetStreamCodes.streamNotFound) || !(await this.#ensureStream())) throw err;
        await create();
      }
      return true;
    } catch {
      // Down, or refused: the caller answers that nothing can be parked, and the next one tries again.
      this.#known.delete(key);
      return false;
    }
  }

  #forget(): void {
    this.#known.clear();
    this.#searchedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Resolves with true when the stream exists now. */
  #ensureStream(): Promise<boolean> {
    this.#ensuring ??= this.#tryEnsureStream().finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  async #tryEnsureStream(): Promise<boolean> {
    if (performance.now() - this.#ensuredAtMs < ensureEveryMs) return false;
    this.#ensuredAtMs = performance.now();
    const { requests, subjects, options } = this.#core;
    // The set-up of the processor's consumers tries as well, and reports why it failed.
    return !((await ensureWaitingStream(requests, subjects, options.stream)) instanceof Error);
  }
}
