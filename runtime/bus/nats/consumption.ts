/**
 * One replica's consumption of the stream of client messages, unordered, or of a waiting room. It sets up streams and the
 * durable consumer, pulls from it, and hands out messages while fewer than `maxOpen` are open. When that has shrunk, a
 * message may arrive when there is no room; it waits here and is kept alive.
 *
 * This file is long because every step of a delivery updates the same counters, which are only consistent together.
 *
 * The replica that starts last decides the shape of a processor's consumers (ordering, number of lanes); replicas that
 * already run use what they find, see `ProcessorConsumption`. Replicas with different settings meet only during a rollout.
 */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import type { Consumption, Delivery, GiveBack, Lag } from '../port/messages.ts';
import type { RoomOptions } from '../port/waiting.ts';
import type { Acks } from './acks.ts';
import type { Subscribed } from './connection.ts';
import { ConsumerSetup } from './consumer-setup.ts';
import type { ConsumptionSource } from './consumption-source.ts';
import type { NatsCore } from './core.ts';
import type { DeliveryOwner, NatsDelivery } from './delivery.ts';
import type { ConsumerSet } from './durables.ts';
import { readLag } from './lag.ts';
import { createPuller, type Puller } from './pull.ts';
import { parseAckSubject, receivedHeaders } from './wire.ts';

export interface ConsumptionEvents {
  onDelivery(delivery: Delivery): void;
  onProblem(error: HydrogenError): void;
  /** `isReady` may have changed for a reason other than the status of the bus. */
  onReadiness(): void;
  /** The processor's consumers are lanes now. */
  onOtherShape?(found: ConsumerSet): void;
  onStopped(): void;
}

interface NatsLane {
  readonly name: string;
  readonly puller: Puller;
}

const sweepMs = 1000;
/** Most messages requested at a time: they arrive even if there is no more room for them by then. */
const maxBatch = 512;
const acked = Buffer.from('+ACK');
const unreadable = Buffer.from('+TERM unreadable');

export class NatsConsumption implements Consumption {
  readonly #core: NatsCore;
  readonly #acks: Acks;
  readonly #source: ConsumptionSource;
  readonly #ackTimeoutMs: number;
  readonly #inboxPrefix: string;
  readonly #events: ConsumptionEvents;
  readonly #setup: ConsumerSetup;
  readonly #owner: DeliveryOwner;
  readonly #waiting = new Fifo<NatsDelivery>();
  readonly #open = new Set<NatsDelivery>();
  readonly #givenBack = new Set<Promise<void>>();
  /** Ends a delivery that was never handed out. */
  #giveBackOne: GiveBack;
  #maxOpen: number;
  /** `preparing`: streams and consumers are not known to exist. */
  #state: 'preparing' | 'ready' | 'stopped' = 'preparing';
  #lanes = new Map<string, NatsLane>();
  #inboxCount = 0;
  #inbox = '';
  #subscription: Subscribed | undefined;
  readonly #sweeper: NodeJS.Timeout;
  readonly #forgetStatus: () => void;

  constructor(
    core: NatsCore,
    acks: Acks,
    source: ConsumptionSource,
    { ackTimeoutMs, maxOpen }: RoomOptions,
    inboxPrefix: string,
    events: ConsumptionEvents,
    hasSucceeded = false,
  ) {
    this.#core = core;
    this.#acks = acks;
    this.#source = source;
    this.#giveBackOne = (delivery) => source.giveBack(delivery);
    this.#ackTimeoutMs = ackTimeoutMs;
    this.#maxOpen = maxOpen;
    this.#inboxPrefix = inboxPrefix;
    this.#events = events;
    this.#owner = { acks, ended: (delivery) => this.#close(delivery) };
    const onRetry = (): void => void this.#prepare();
    const onProblem = (error: HydrogenError): void => events.onProblem(error);
    this.#setup = new ConsumerSetup(core.link, source, { onRetry, onProblem }, hasSucceeded);
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs);
    this.#forgetStatus = core.link.onStatus((status) => {
      this.#state = 'preparing';
      for (const lane of this.#lanes.values()) lane.puller.forget();
      if (status === 'up') void this.#prepare();
    });
    void this.#prepare();
  }

  get isReady(): boolean {
    return this.#state === 'ready' && this.#core.link.isUp;
  }

  get lanes(): undefined {
    return undefined;
  }

  get maxOpen(): number {
    return this.#maxOpen;
  }

  set maxOpen(next: number) {
    const isMore = next > this.#maxOpen;
    this.#maxOpen = next;
    if (!isMore) return;
    this.#handOut();
    this.#fill();
  }

  async lag(): Promise<Lag | undefined> {
    const { link, requests } = this.#core;
    if (!link.isUp || this.#lanes.size === 0) return undefined;
    try {
      return await readLag(requests, this.#source.stream, [...this.#lanes.keys()]);
    } catch {
      // Disconnected, or the consumer does not exist at the moment: unknown.
      return undefined;
    }
  }

  async stop(giveBack?: GiveBack): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    if (giveBack !== undefined) this.#giveBackOne = giveBack;
    this.#forgetStatus();
    this.#setup.stop();
    clearInterval(this.#sweeper);
    for (const delivery of this.#waiting.drain()) this.#giveBack(delivery);
    await this.#subscription?.drain();
    await Promise.all(this.#givenBack);
    this.#events.onStopped();
  }

  async #prepare(): Promise<void> {
    if (!this.#setup.canRun) return;
    this.#state = 'preparing';
    const found = await this.#setup.run();
    if (found?.isOrdered && !this.#isStopped()) return this.#events.onOtherShape?.(found);
    if (found !== undefined) this.#adopt(found);
    this.#events.onReadiness();
    this.#fill();
  }

  // A method, because the state may have changed during an await, which the type checker does not see.
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #adopt(found: ConsumerSet): void {
    if (this.#state === 'stopped') return;
    this.#lanes = new Map(found.names.map((name) => [name, this.#lanes.get(name) ?? this.#createLane(name)]));
    this.#renewInbox();
    this.#state = 'ready';
  }

  #createLane(name: string): NatsLane {
    const { stream } = this.#source;
    return { name, puller: createPuller(this.#core.link, stream, name, () => `${this.#inbox}.${name}`) };
  }

  // Requests under the old inbox are void: the server drops a request whose inbox has no subscriber.
  #renewInbox(): void {
    void this.#subscription?.drain();
    this.#inbox = `${this.#inboxPrefix}.${++this.#inboxCount}`;
    this.#subscription = this.#core.link.subscribe(`${this.#inbox}.*`, (msg) => this.#onMessage(msg));
    for (const lane of this.#lanes.values()) lane.puller.forget();
  }

  #fill(): void {
    if (!this.isReady) return;
    for (const lane of this.#lanes.values()) this.#fillLane(lane);
  }

  #fillLane(lane: NatsLane): void {
    if (this.#state !== 'ready') return;
    lane.puller.pull(Math.min(maxBatch, this.#maxOpen - this.#open.size - this.#waiting.length));
  }

  #onMessage(msg: Msg): void {
    const { reply } = msg;
    const block = receivedHeaders(msg);
    const ack = parseAckSubject(reply);
    if (reply === undefined || ack === undefined) {
      this.#onServerStatus(msg.subject, block);
      return;
    }
    this.#setup.resetBackOff();
    const lane = this.#lanes.get(ack.consumer);
    lane?.puller.onMessage();
    const delivery = this.#source.read(msg, ack, reply, block, this.#owner);
    if (delivery instanceof HydrogenError) {
      this.#acks.end(reply, unreadable);
      this.#setup.report(delivery);
    } else if (delivery === undefined) {
      this.#acks.end(reply, acked);
    } else if (this.#state === 'stopped') {
      this.#giveBack(delivery);
    } else {
      this.#waiting.push(delivery);
      this.#handOut();
    }
    if (lane !== undefined) this.#fillLane(lane);
  }

  #onServerStatus(subject: string, block: string): void {
    const lane = this.#lanes.get(subject.slice(subject.lastIndexOf('.') + 1));
    if (lane === undefined || this.#state === 'stopped' || !subject.startsWith(`${this.#inbox}.`)) return;
    const trouble = lane.puller.onStatus(block);
    if (trouble === undefined) {
      this.#setup.resetBackOff();
      this.#fillLane(lane);
    } else {
      this.#state = 'preparing';
      this.#events.onReadiness();
      this.#setup.retryLater();
    }
  }

  #handOut(): void {
    while (this.#state !== 'stopped' && this.#open.size < this.#maxOpen) {
      const delivery = this.#waiting.shift();
      if (delivery === undefined) return;
      this.#open.add(delivery);
      delivery.aliveAtMs = performance.now();
      this.#events.onDelivery(delivery);
    }
  }

  #giveBack(delivery: NatsDelivery): void {
    const ended = this.#giveBackOne(delivery).finally(() => this.#givenBack.delete(ended));
    this.#givenBack.add(ended);
  }

  #close(delivery: NatsDelivery): void {
    if (!this.#open.delete(delivery)) return;
    const lane = this.#lanes.get(delivery.consumer);
    this.#handOut();
    if (lane !== undefined) this.#fillLane(lane);
  }

  #sweep(): void {
    const now = performance.now();
    const ackTimeoutMs = this.#ackTimeoutMs;
    // The server redelivers a message that was not reported at work for too long, so it takes up no room here.
    for (const delivery of this.#open) if (now - delivery.aliveAtMs > ackTimeoutMs) this.#close(delivery);
    for (const delivery of this.#waiting.drain()) {
      if (now - delivery.aliveAtMs > ackTimeoutMs / 3) delivery.working();
      this.#waiting.push(delivery);
    }
    if (!this.isReady) return;
    for (const lane of this.#lanes.values()) {
      if (!lane.puller.isSilent(now)) continue;
      this.#renewInbox();
      void this.#prepare();
      return;
    }
    this.#fill();
  }
}
