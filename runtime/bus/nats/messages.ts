/** Client messages on JetStream: published through one publisher, consumed through durable pull consumers. */

import type { Msg } from 'nats';
import type { HydrogenError } from '../../errors.ts';
import type { ClientMessage } from '../port/client-message.ts';
import type {
  ConsumerOptions,
  Consumption,
  ConsumptionListener,
  Delivery,
  MessageBus,
  Remainder,
} from '../port/messages.ts';
import type { Unacknowledged } from '../port/pressure.ts';
import type { Acks } from './acks.ts';
import { parseAnnouncement } from './announcements.ts';
import type { NatsCore } from './core.ts';
import { ClientHeaders, checkedMessageId } from './entry.ts';
import { Interest } from './interest.ts';
import { Lines } from './lines.ts';
import { ProcessorConsumption } from './processor-consumption.ts';
import { Publisher } from './publisher.ts';
import { countRooms, sumOf } from './rooms.ts';
import { StoredView } from './stored.ts';

/** Longer than the publisher waits for an acknowledgement. */
const settleMs = 6000;

export class NatsMessages implements MessageBus {
  /** The publisher to the stream of client messages; dead letters are replayed through it. */
  readonly publisher: Publisher;
  readonly #core: NatsCore;
  readonly #acks: Acks;
  readonly #interest: Interest;
  readonly #pressureListeners: ((isPressed: boolean) => void)[] = [];
  readonly #consumptions = new Set<ProcessorConsumption>();
  readonly #headers = new ClientHeaders();
  readonly #stored: StoredView;
  #consumptionCount = 0;
  #wasPressed = true;

  /** @param instances the gateways of this process: they answer announcements of what consumers will cover */
  constructor(core: NatsCore, acks: Acks, instances: () => readonly string[] = () => []) {
    const { options, subjects, link, requests } = core;
    this.#core = core;
    this.#acks = acks;
    this.#interest = new Interest(link, requests, subjects, () => this.publisher.cover());
    const forms = this.#interest;
    const formOf = (endpoint: string): 'single' | 'entry' | undefined => forms.formOf(endpoint);
    const lines = new Lines(subjects, this.#headers, formOf, () => core.limit.entryBytes);
    const onChange = (): void => this.weigh();
    this.publisher = new Publisher(link, 'm', subjects.stream, lines, forms, onChange, options.publishLimits);
    this.#stored = new StoredView(core);
    link.subscribe(subjects.announcements, (msg) => void this.#onAnnouncement(msg, instances));
  }

  get maxPayloadBytes(): number {
    return this.#core.limit.bytes;
  }

  get isPressed(): boolean {
    return !this.#core.link.isUp || this.publisher.isPressed;
  }

  get unacknowledged(): Unacknowledged {
    return this.publisher.unacknowledged;
  }

  onPressure(listener: (isPressed: boolean) => void): void {
    this.#pressureListeners.push(listener);
  }

  flush(timeoutMs: number): Promise<string[]> {
    return this.publisher.flush(timeoutMs);
  }

  // Not async: the promise of the publisher is the only one that a message costs.
  publish(message: ClientMessage, isApart = false): Promise<number> {
    try {
      this.#core.limit.check(message.payload);
      this.#core.subjects.laneOf(message.endpoint, message.connectionId);
      this.#headers.check(message.callbackUrl);
      checkedMessageId(message.id);
      return this.publisher.publish(message, isApart);
    } catch (refusal) {
      return Promise.reject(refusal);
    }
  }

  remainder(endpoint: string, connectionId: string, isApart: boolean): Promise<Remainder | undefined> {
    return this.#stored.remainder(endpoint, connectionId, isApart);
  }

  isConsumed(endpoint: string): boolean {
    return this.#interest.isConsumed(endpoint);
  }

  onConsumers(listener: () => void): void {
    this.#interest.onChange(listener);
  }

  consume(
    options: ConsumerOptions,
    onDelivery: (delivery: Delivery) => void,
    onProblem: (error: HydrogenError) => void,
    listener: ConsumptionListener = {},
  ): Consumption {
    const inbox = `${this.#core.link.inbox}.c${this.#consumptionCount++}`;
    const { requests, subjects } = this.#core;
    const consumption = new ProcessorConsumption(this.#core, this.#acks, options, inbox, {
      onDelivery,
      onProblem,
      onReadiness: () => listener.onReadiness?.(),
      onWithdrawn: () => listener.onWithdrawn?.(),
      onTakeover: (lanes) => listener.onTakeover?.(lanes),
      onLeaseLost: (lanes) => listener.onLeaseLost?.(lanes),
    });
    this.#consumptions.add(consumption);
    return {
      get isReady() {
        return consumption.isReady;
      },
      get lanes() {
        return consumption.lanes;
      },
      get maxOpen() {
        return consumption.maxOpen;
      },
      set maxOpen(next) {
        consumption.maxOpen = next;
      },
      lag: async () => {
        const [lag, rooms] = await Promise.all([
          consumption.lag(),
          countRooms(requests, subjects).catch(() => undefined),
        ]);
        if (lag === undefined || rooms === undefined) return undefined;
        return { ...lag, pending: lag.pending + sumOf(rooms.get(options.processor)) };
      },
      stop: async (giveBack, isLeaving) => {
        await consumption.stop(giveBack, isLeaving);
        this.#consumptions.delete(consumption);
      },
    };
  }

  /** Stops every consumption and the polling of consumers. Acknowledgements can be sent until the link stops. */
  async stopConsuming(): Promise<void> {
    this.#interest.stop();
    await Promise.all(Array.from(this.#consumptions, (consumption) => consumption.abandon()));
  }

  /** Notifies the listeners when `isPressed` has changed. */
  weigh(): void {
    const { isPressed } = this;
    if (isPressed === this.#wasPressed) return;
    this.#wasPressed = isPressed;
    for (const listener of this.#pressureListeners) listener(isPressed);
  }

  async #onAnnouncement({ data, reply }: Msg, instances: () => readonly string[]): Promise<void> {
    const announcement = parseAnnouncement(data);
    if (announcement === undefined) return;
    await this.#interest.heed(announcement);
    await this.publisher.settle(settleMs);
    const ids = instances();
    // The package turns a missing reply subject into an empty string.
    if (reply && ids.length > 0) this.#core.link.publish(reply, Buffer.from(JSON.stringify(ids)));
  }
}
