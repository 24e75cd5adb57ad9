/**
 * One replica's consumption of the stream of client messages, unordered, or of a waiting room. It sets up streams and the
 * durable consumers, pulls from one for single messages and one for entries, and hands out messages while fewer than
 * `maxOpen` are open. With an entry, or when that has shrunk, a message may arrive when there is no room; it waits here and
 * is kept alive.
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
import { Again } from './again.ts';
import type { Subscribed } from './connection.ts';
import { ConsumerSetup } from './consumer-setup.ts';
import type { ConsumptionSource } from './consumption-source.ts';
import type { NatsCore } from './core.ts';
import type { DeliveryOwner, NatsDelivery } from './delivery.ts';
import type { ConsumerSet } from './durables.ts';
import { maxEntryBatch, readWhatIsLeft } from './entry-leaving.ts';
import { type OpenEntries, readMessageLag } from './lag.ts';
import { createPuller, type Puller } from './pull.ts';
import type { Receipt } from './receipt.ts';
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
  /** It brings entries of several messages. */
  readonly bringsEntries: boolean;
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
  readonly #again = new Again((delivery) => this.#repeat(delivery));
  /** Entries with deliveries that have not ended. */
  readonly #receipts = new Set<Receipt>();
  /** Ends a delivery that was never handed out. */
  #giveBackOne: GiveBack;
  #maxOpen: number;
  /** `preparing`: streams and consumers are not known to exist. `leaving`: what arrives is given back, as when stopped. */
  #state: 'preparing' | 'ready' | 'leaving' | 'stopped' = 'preparing';
  #lanes = new Map<string, NatsLane>();
  #hasSaidThatItReads = false;
  #isHandingOut = false;
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
    this.#owner = {
      acks,
      ended: (delivery) => this.#ended(delivery),
      again: (delivery, delayMs) => this.#deliverAgain(delivery, delayMs),
    };
    const onRetry = (): void => void this.#prepare();
    const onProblem = (error: HydrogenError): void => events.onProblem(error);
    this.#setup = new ConsumerSetup(core.link, source, { onRetry, onProblem }, hasSucceeded);
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs);
    this.#forgetStatus = core.link.onStatus((status) => {
      if (this.#isOver) return;
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
    const namesOf = (bringsEntries: boolean): string[] =>
      [...this.#lanes.values()].filter((lane) => lane.bringsEntries === bringsEntries).map(({ name }) => name);
    const names = { singles: namesOf(false), entries: namesOf(true) };
    try {
      return await readMessageLag(requests, this.#source.stream, names, this.#openEntries(), this.#core.entrySizes);
    } catch {
      // Disconnected, or the consumer does not exist at the moment: unknown.
      return undefined;
    }
  }

  async stop(giveBack?: GiveBack, isLeaving = false): Promise<void> {
    if (this.#isOver) return;
    const wasReady = this.isReady;
    this.#state = isLeaving && wasReady ? 'leaving' : 'stopped';
    if (giveBack !== undefined) this.#giveBackOne = giveBack;
    this.#setup.stop();
    clearInterval(this.#sweeper);
    for (const delivery of [...this.#again.drain(), ...this.#waiting.drain()]) this.#giveBack(delivery);
    await this.#subscription?.drain();
    if (this.#state === 'leaving') await this.#leave();
    this.#state = 'stopped';
    this.#forgetStatus();
    await Promise.all(this.#givenBack);
    this.#events.onStopped();
  }

  // The subscription is gone, so the server waits with nothing for this replica. What is read here is given back, which
  // stores it where releases without entries read it too.
  async #leave(): Promise<void> {
    const lanes = [...this.#lanes.values()].filter((lane) => lane.bringsEntries);
    if (lanes.length === 0 || !(await this.#source.leave(lanes.map(({ name }) => name)))) return;
    this.#renewInbox();
    await readWhatIsLeft(this.#core, this.#source.stream, lanes);
    await this.#subscription?.drain();
  }

  async #prepare(): Promise<void> {
    if (!this.#setup.canRun) return;
    this.#state = 'preparing';
    const found = await this.#setup.run();
    if (found?.isOrdered && !this.#isStopped()) return this.#events.onOtherShape?.(found);
    if (found !== undefined) this.#adopt(found);
    this.#events.onReadiness();
    this.#fill();
    const isNews = found?.entries.some(({ isRead }) => !isRead) === true;
    if (!isNews || this.#hasSaidThatItReads || !this.isReady) return;
    this.#hasSaidThatItReads = true;
    this.#source.reading();
  }

  // A method, because the state may have changed during an await, which the type checker does not see.
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #adopt(found: ConsumerSet): void {
    if (this.#isOver) return;
    const lanes = found.names.map((name) => this.#lanes.get(name) ?? this.#createLane(name, false));
    for (const { name } of found.entries) lanes.push(this.#lanes.get(name) ?? this.#createLane(name, true));
    this.#lanes = new Map(lanes.map((lane) => [lane.name, lane]));
    this.#renewInbox();
    this.#state = 'ready';
  }

  #createLane(name: string, bringsEntries: boolean): NatsLane {
    const { stream } = this.#source;
    const puller = createPuller(this.#core.link, stream, name, () => `${this.#inbox}.${name}`);
    return { name, bringsEntries, puller };
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
    const room = this.#maxOpen - this.#open.size - this.#waiting.length;
    if (lane.bringsEntries) lane.puller.pull(Math.min(maxEntryBatch, this.#core.entrySizes.entriesFor(room)));
    else lane.puller.pull(Math.min(maxBatch, room));
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
    const deliveries = this.#source.read(msg, ack, reply, block, this.#owner);
    if (deliveries instanceof HydrogenError) {
      this.#acks.end(reply, unreadable);
      this.#setup.report(deliveries);
    } else if (deliveries.length === 0) {
      this.#acks.end(reply, acked);
    } else {
      this.#take(deliveries);
    }
    if (lane !== undefined) this.#fillLane(lane);
  }

  #take(deliveries: readonly NatsDelivery[]): void {
    const [first] = deliveries;
    if (first?.isShared === true) {
      this.#receipts.add(first.receipt);
      this.#core.entrySizes.observe(deliveries.length);
    }
    for (const delivery of deliveries) {
      if (this.#isOver) this.#giveBack(delivery);
      else this.#waiting.push(delivery);
    }
    this.#handOut();
  }

  #onServerStatus(subject: string, block: string): void {
    const lane = this.#lanes.get(subject.slice(subject.lastIndexOf('.') + 1));
    if (lane === undefined || this.#isOver || !subject.startsWith(`${this.#inbox}.`)) return;
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

  // An end within `onDelivery` makes room for the next one, which is handed out once that call has returned.
  #handOut(): void {
    if (this.#isHandingOut) return;
    this.#isHandingOut = true;
    while (!this.#isOver && this.#open.size < this.#maxOpen) {
      const delivery = this.#waiting.shift();
      if (delivery === undefined) break;
      this.#open.add(delivery);
      // The time-out of a message by itself has only just begun, as far as its receiver can know.
      if (delivery.isShared) this.#keepAlive(delivery, performance.now());
      else delivery.receipt.aliveAtMs = performance.now();
      this.#events.onDelivery(delivery);
    }
    this.#isHandingOut = false;
  }

  #giveBack(delivery: NatsDelivery): void {
    const ended = this.#giveBackOne(delivery).finally(() => this.#givenBack.delete(ended));
    this.#givenBack.add(ended);
  }

  /** Hands it out again in this process: the bus would repeat what it is stored with. */
  #deliverAgain(delivery: NatsDelivery, delayMs: number): boolean {
    if (this.#isOver) return false;
    this.#again.add(delivery.next(), delayMs);
    return true;
  }

  #repeat(delivery: NatsDelivery): void {
    this.#waiting.push(delivery);
    this.#handOut();
  }

  #openEntries(): OpenEntries {
    let messages = 0;
    for (const { left } of this.#receipts) messages += left;
    const waiting = this.#waiting.count(({ isShared }) => isShared);
    return { entries: this.#receipts.size, messages, waiting };
  }

  #ended(delivery: NatsDelivery): void {
    if (delivery.isShared && delivery.receipt.left === 0) this.#receipts.delete(delivery.receipt);
    this.#close(delivery);
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
    const isLost = ({ receipt }: NatsDelivery): boolean => now - receipt.aliveAtMs > ackTimeoutMs;
    // The server redelivers a message that was not reported at work for too long, so it takes up no room here.
    for (const delivery of this.#open) if (isLost(delivery)) this.#close(delivery);
    for (const receipt of this.#receipts) if (now - receipt.aliveAtMs > ackTimeoutMs) this.#receipts.delete(receipt);
    for (const delivery of this.#again.deliveries) {
      if (isLost(delivery)) this.#again.drop(delivery);
      else this.#keepAlive(delivery, now);
    }
    for (const delivery of this.#waiting.drain()) {
      // What is left of an entry comes again with it.
      if (delivery.isShared && isLost(delivery)) continue;
      this.#keepAlive(delivery, now);
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

  #keepAlive(delivery: NatsDelivery, nowMs: number): void {
    if (nowMs - delivery.receipt.aliveAtMs > this.#ackTimeoutMs / 3) delivery.working();
  }

  get #isOver(): boolean {
    return this.#state === 'leaving' || this.#state === 'stopped';
  }
}
