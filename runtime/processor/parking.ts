/**
 * Moves deliveries into the waiting rooms of a processor. When the bus can't park now, the delivery is handed back to it
 * instead. Where a message may not be overtaken by later ones of its connection, nothing is parked.
 */

import type { DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { Delivery } from '../bus/port/messages.ts';
import type { Parked, WaitingBus } from '../bus/port/waiting.ts';
import type { ProcessorSettings } from './settings.ts';

export class RoomParking {
  readonly #waiting: WaitingBus;
  readonly #onParked: (room: string) => void;

  /** @param onParked called after each message that was stored in a room */
  constructor(waiting: WaitingBus, onParked: (room: string) => void) {
    this.#waiting = waiting;
    this.#onParked = onParked;
  }

  /** After a failed attempt. @returns false when the room is full: the delivery is still open */
  async retryLater(
    delivery: Delivery,
    room: string,
    attempts: number,
    delayMs: number,
    { consumer }: ProcessorSettings,
  ): Promise<boolean> {
    const dueAtMs = Date.now() + delayMs;
    const parked = await this.#park(consumer.processor, room, delivery, { attempts, dueAtMs });
    if (parked === 'unavailable') delivery.nak(delayMs);
    return parked !== 'full';
  }

  /** Without an attempt. @returns false when that is not possible now: the delivery is still open */
  async waitUnchanged(delivery: Delivery, room: string, { consumer, limits }: ProcessorSettings): Promise<boolean> {
    const { attempt, dueAtMs, cause } = delivery;
    const parking = { attempts: attempt - 1, dueAtMs, ...(cause === undefined ? {} : { cause }) };
    return limits.mayPark && (await this.#park(consumer.processor, room, delivery, parking)) === 'stored';
  }

  /** Until its dead letter can be stored. @returns false when that is not possible now: the delivery is still open */
  async waitForLetter(
    delivery: Delivery,
    room: string,
    attempts: number,
    delayMs: number,
    cause: DeadLetterCause,
    { consumer }: ProcessorSettings,
  ): Promise<boolean> {
    const parking = { attempts, dueAtMs: Date.now() + delayMs, cause };
    return (await this.#park(consumer.processor, room, delivery, parking)) === 'stored';
  }

  async #park(...parking: Parameters<WaitingBus['park']>): Promise<Parked> {
    const parked = await this.#waiting.park(...parking);
    if (parked === 'stored') this.#onParked(parking[1]);
    return parked;
  }
}
