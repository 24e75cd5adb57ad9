/**
 * Waiting rooms: where the messages of a processor wait that can't be delivered yet, one room for each destination. A
 * parked message is stored once more, in its room, and is then consumed on the stream of client messages. It takes no
 * place among the deliveries of other destinations and no memory of a process.
 *
 * - A message is stored in its room before its delivery ends, so a crash in between leaves it in both places and never in
 *   none. Parking the same stored message again stores nothing more (on NATS: within two minutes).
 * - The messages of a room are delivered oldest first, to any replica, at least once, until they are acknowledged, parked
 *   again or terminated. Messages that are due later are delivered as well: whoever gets one waits with it, reporting it at
 *   work, or parks it again.
 */

import type { HydrogenError } from '../../errors.ts';
import type { DeadLetterCause } from './dead-letters.ts';
import type { Delivery } from './messages.ts';

/** What a room keeps about a message besides the message. */
export interface Parking {
  /** Requests that were really sent for it so far. */
  readonly attempts: number;
  /** Milliseconds since the epoch before which it must not be tried. */
  readonly dueAtMs: number;
  /** Why it will become a dead letter, when it waits for nothing else. */
  readonly cause?: DeadLetterCause;
}

/**
 * `stored`: it is in the room and the delivery has ended. `full`: this room, or all rooms together, take no more.
 * `unavailable`: it is not known to be stored, because the bus is down or slow or has no stream for rooms. Unless it is
 * stored, the delivery stays open.
 */
export type Parked = 'stored' | 'full' | 'unavailable';

export interface RoomOptions {
  /** A delivery that is neither ended nor `working()` for this long is delivered again, to any replica. */
  readonly ackTimeoutMs: number;
  readonly maxOpen: number;
}

/** One replica's subscription to one room. */
export interface WaitingRoom {
  /**
   * Deliveries that may be open in this process at once; 0 pauses it. It may be changed at any time. Those that are open
   * stay open when it shrinks.
   */
  maxOpen: number;
  /** Messages in the room, delivered ones included; undefined while it can't be known. */
  count(): Promise<number | undefined>;
  /** No delivery begins after this resolves; open ones can still be ended. Never rejects. */
  stop(): Promise<void>;
}

/**
 * The name of a room is any text of 1 to 300 bytes of UTF-8.
 * Every method @throws {HydrogenError} HYD_CONFIG_INVALID for a name that is not valid; `park` and `rooms` as a rejection
 */
export interface WaitingBus {
  /** Moves a delivery of this processor, from the stream or from a room, to the end of a room. Rejects for no other reason. */
  park(processor: string, room: string, delivery: Delivery, parking: Parking): Promise<Parked>;
  /** The rooms of a processor that hold messages, with their number; undefined while it can't be known. */
  rooms(processor: string): Promise<ReadonlyMap<string, number> | undefined>;
  /**
   * Delivers what is in a room, and whatever comes, until it is stopped.
   * @param onProblem receives each problem that prevents delivery
   */
  enter(
    processor: string,
    room: string,
    options: RoomOptions,
    onDelivery: (delivery: Delivery) => void,
    onProblem: (error: HydrogenError) => void,
  ): WaitingRoom;
}
