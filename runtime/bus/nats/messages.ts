/** Client messages on JetStream: published through one publisher, consumed through durable pull consumers. */

import type { Msg } from 'nats';
import type { HydrogenError } from '../../errors.ts';
import type { ClientMessage } from '../port/client-message.ts';
import type { ConsumerOptions, Consumption, ConsumptionListener, Delivery, MessageBus } from '../port/messages.ts';
import type { Unacknowledged } from '../port/pressure.ts';
import type { Acks } from './acks.ts';
import { parseAnnouncement } from './announcements.ts';
import type { NatsCore } from './core.ts';
import { Interest } from './interest.ts';
import { ProcessorConsumption } from './processor-consumption.ts';
import { Publisher } from './publisher.ts';
import { countRooms, sumOf } from './rooms.ts';
import { countStored } from './stored.ts';
import { checkedValue, headerNames } from './wire.ts';

const idPattern = /^[A-Za-z0-9-]+$/;
const maxKnownCallbacks = 64;
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
  /** The part of a header block that follows the message id, by callback URL. */
  readonly #headerTails = new Map<string, string>();
  #consumptionCount = 0;
  #wasPressed = true;

  /** @param instances the gateways of this process: they answer announcements of what consumers will cover */
  constructor(core: NatsCore, acks: Acks, instances: () => readonly string[] = () => []) {
    const { options, subjects, link, requests } = core;
    this.#core = core;
    this.#acks = acks;
    this.#interest = new Interest(link, requests, subjects, () => this.publisher.cover());
    const isCovered = (endpoint: string): boolean => this.#interest.isConsumed(endpoint);
    this.publisher = new Publisher(link, 'm', subjects.stream, () => this.weigh(), options.publishLimits, isCovered);
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
  publish({ id, connectionId, endpoint, callbackUrl, payload }: ClientMessage): Promise<void> {
    try {
      this.#core.limit.check(payload);
      const subject = this.#core.subjects.clientMessage(endpoint, connectionId);
      return this.publisher.store(subject, this.#headers(id, callbackUrl), payload, connectionId, endpoint);
    } catch (refusal) {
      return Promise.reject(refusal);
    }
  }

  stored(endpoint: string, connectionId: string): Promise<number | undefined> {
    return countStored(this.#core, endpoint, connectionId);
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
      stop: async (giveBack) => {
        await consumption.stop(giveBack);
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

  // All messages of a gateway carry the same callback, so their header blocks differ only in the id.
  #headers(id: string, callbackUrl: string): string {
    let tail = this.#headerTails.get(callbackUrl);
    if (tail === undefined) {
      tail = `\r\n${headerNames.callback}: ${checkedValue(callbackUrl)}\r\n\r\n`;
      if (this.#headerTails.size < maxKnownCallbacks) this.#headerTails.set(callbackUrl, tail);
    }
    if (!idPattern.test(id)) throw new RangeError(`not a message id: ${JSON.stringify(id)}`);
    return `NATS/1.0\r\n${headerNames.messageId}: ${id}${tail}`;
  }
}
