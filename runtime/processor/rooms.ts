/**
 * The waiting rooms of one processor, as this replica sees them. A room is entered when this process has parked a message
 * there, or when a look at the bus shows that it holds something (another replica may have parked it and died), and left
 * when it has been empty for a while. How many of its messages are open here follows the state of its destination.
 */

import type { Delivery } from '../bus/port/messages.ts';
import type { WaitingBus, WaitingRoom } from '../bus/port/waiting.ts';
import type { HydrogenError } from '../errors.ts';

export interface RoomsDeps {
  readonly waiting: WaitingBus;
  readonly processor: string;
  readonly ackTimeoutMs: number;
  /** Messages of a room that may be open in this process. */
  windowOf(room: string): number;
  onDelivery(delivery: Delivery): void;
  onProblem(error: HydrogenError): void;
}

interface Entered {
  readonly room: WaitingRoom;
  messages: number;
  /** Looks in a row that found nothing. */
  emptyLooks: number;
}

const lookMs = 5_000;
const maxEmptyLooks = 12;

export class Rooms {
  readonly #deps: RoomsDeps;
  readonly #entered = new Map<string, Entered>();
  readonly #timer: NodeJS.Timeout;
  #state: 'open' | 'stopped' = 'open';

  constructor(deps: RoomsDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => void this.#look(), lookMs);
    void this.#look();
  }

  /** Messages in each room that holds any, as of the last look. */
  *counts(): Iterable<[room: string, messages: number]> {
    for (const [name, { messages }] of this.#entered) if (messages > 0) yield [name, messages];
  }

  /** Something was parked there. */
  enter(name: string): void {
    if (this.#state === 'stopped') return;
    const { waiting, processor, ackTimeoutMs, windowOf, onDelivery, onProblem } = this.#deps;
    const known = this.#entered.get(name);
    if (known !== undefined) {
      known.emptyLooks = 0;
      return;
    }
    const room = waiting.enter(processor, name, { ackTimeoutMs, maxOpen: windowOf(name) }, onDelivery, onProblem);
    this.#entered.set(name, { room, messages: 1, emptyLooks: 0 });
  }

  /** What may be open of this room has changed. */
  adjust(name: string): void {
    const known = this.#entered.get(name);
    if (known !== undefined) known.room.maxOpen = this.#deps.windowOf(name);
  }

  adjustAll(): void {
    for (const name of this.#entered.keys()) this.adjust(name);
  }

  /** No delivery begins after this resolves. Never rejects. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    clearInterval(this.#timer);
    await Promise.all(Array.from(this.#entered.values(), ({ room }) => room.stop()));
  }

  async #look(): Promise<void> {
    const found = await this.#deps.waiting.rooms(this.#deps.processor);
    if (found === undefined || this.#state === 'stopped') return;
    for (const name of found.keys()) this.enter(name);
    for (const [name, known] of this.#entered) {
      known.messages = found.get(name) ?? 0;
      known.emptyLooks = known.messages > 0 ? 0 : known.emptyLooks + 1;
      if (known.emptyLooks < maxEmptyLooks) continue;
      this.#entered.delete(name);
      void known.room.stop();
    }
  }
}
