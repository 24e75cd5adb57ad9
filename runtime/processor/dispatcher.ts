/**
 * The deliveries that are open in this process. Those of one connection run one after another in the order in which
 * they arrived; different connections run side by side, `maxRunning` at once and a part of these per destination. What
 * waits (for its connection, for its destination, until it is due) takes no place. Where a message may be overtaken, a
 * delivery that would wait long is moved into a waiting room of the bus, so that it keeps nothing from what is behind it.
 * Where it may not, one that failed is held here until it is tried again, and its connection with it; while memory is short,
 * the payload of what waits long is forgotten and read again.
 */

import { deadLetterRoom, unroutedRoom } from '../../crds/waiting-rooms.ts';
import type { Delivery, Recalled } from '../bus/port/messages.ts';
import type { CircuitState } from '../role/events.ts';
import type { CircuitOptions } from './circuit.ts';
import { ConnectionLines } from './connection-lines.ts';
import { DestinationQueue } from './destination-queue.ts';
import type { DispatcherLimits } from './limits.ts';
import { type HeldMessages, OpenDeliveries } from './open-deliveries.ts';
import { ended, OpenDelivery, type RunOutcome } from './open-delivery.ts';

/** What is done with a delivery at each step. A rejection is a bug and ends the process. */
export interface DispatcherSteps {
  /** Decides where it goes, as far as that is known at once. @returns the name of its queue */
  route(open: OpenDelivery): string;
  /** Does the work of one place. */
  run(open: OpenDelivery, queue: DestinationQueue): Promise<RunOutcome>;
  /** Moves it into a waiting room, unchanged. @returns false when that is not possible now */
  park(open: OpenDelivery, room: string): Promise<boolean>;
  /** Reads its payload again. */
  recall(open: OpenDelivery): Promise<Recalled>;
}

export interface DispatcherEvents {
  /** `maxFromStream` or `isShort` has changed. */
  onRoom(): void;
  /** The circuit of a destination has changed. */
  onCircuit(queue: DestinationQueue, state: CircuitState): void;
}

/** While memory is short, no more deliveries than this wait behind another one of their connection. */
const longLine = 64;
/** Queues above this number are removed once they are idle: a rules engine may name any number of destinations. */
const maxQueues = 1_024;
const maxDeadLettersAtOnce = 256;
const recheckMs = 50;
/** Until the next attempt to read a payload again. */
const recallRetryMs = 1_000;
/** Deliveries that stay here, with their payloads, while their destination has no room: the next ones to start. */
const fewWaiting = 8;

export class Dispatcher {
  readonly #steps: DispatcherSteps;
  readonly #events: DispatcherEvents;
  readonly #circuit: CircuitOptions;
  readonly #lines = new ConnectionLines();
  readonly #open: OpenDeliveries;
  readonly #queues = new Map<string, DestinationQueue>();
  /** Queues that take places and in which something waits. */
  readonly #busy = new Set<DestinationQueue>();
  /** Those of them that have room. They take turns. */
  readonly #runnable = new Set<DestinationQueue>();
  #limits: DispatcherLimits;
  #running = 0;
  #places = 0;
  #isShort = false;
  #maxFromStream: number;
  #recheck: NodeJS.Timeout | undefined;
  #state: 'running' | 'stopping' = 'running';
  #onIdle: (() => void)[] = [];

  constructor(limits: DispatcherLimits, circuit: CircuitOptions, steps: DispatcherSteps, events: DispatcherEvents) {
    this.#limits = limits;
    this.#maxFromStream = limits.maxRunning;
    this.#circuit = circuit;
    this.#steps = steps;
    this.#open = new OpenDeliveries((open) => steps.recall(open));
    this.#events = events;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#open.size - this.#running;
  }

  get queues(): ReadonlyMap<string, DestinationQueue> {
    return this.#queues;
  }

  /**
   * Deliveries that may be open for more to arrive from the stream: enough to have a start for every place soon, and no
   * more, since what waits here can't be taken by another replica.
   */
  get maxFromStream(): number {
    return this.#maxFromStream;
  }

  /** True while about half of what may be open is, or more: what would wait long moves out. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** Running deliveries continue. */
  configure(limits: DispatcherLimits): void {
    this.#limits = limits;
    for (const queue of this.#queues.values()) {
      if (queue.takesPlaces) queue.limit = limits.maxRunningPerDestination;
      this.#settle(queue);
    }
    this.#fill();
    this.#weigh();
  }

  add(delivery: Delivery): void {
    const open = new OpenDelivery(delivery);
    this.#open.add(open);
    const waitMs = delivery.dueAtMs === 0 ? 0 : delivery.dueAtMs - Date.now();
    if (waitMs <= 0) this.#stand(open);
    else this.#hold(open, waitMs, () => this.#stand(open));
    this.#weigh();
  }

  /** Forgets deliveries that belong to another process now and have not started. */
  dropWithdrawn(): void {
    const gone = new Set<OpenDelivery>();
    for (const open of this.#open) {
      if (open.delivery.isWithdrawn && open.stage !== 'running' && open.stage !== 'parking') gone.add(open);
    }
    if (gone.size === 0) return;
    for (const queue of this.#queues.values()) {
      for (const open of queue.waiting.drain()) if (!gone.has(open)) queue.waiting.push(open);
      this.#settle(queue);
    }
    this.#lines.remove(gone, this.#open);
    for (const open of gone) {
      clearTimeout(open.timer);
      this.#forget(open);
    }
    this.#fill();
  }

  /** Routes those again that wait for room at their destination and for which `isOver` is true. */
  reroute(isOver: (delivery: Delivery) => boolean): void {
    const over: OpenDelivery[] = [];
    for (const queue of this.#queues.values()) {
      if (!queue.takesPlaces) continue;
      for (const open of queue.waiting.drain()) (isOver(open.delivery) ? over : queue.waiting).push(open);
      this.#settle(queue);
    }
    for (const open of over) this.#admit(open, this.#steps.route(open));
  }

  /** When the oldest open message of each destination was stored, in milliseconds since the epoch. */
  oldest(): Map<string, number> {
    return this.#open.oldest();
  }

  /** What waits for each destination, with what is behind it on its connection. */
  held(): Map<string, HeldMessages> {
    return this.#open.held((connectionId) => this.#lines.length(connectionId));
  }

  /** Reports to the bus that everything open for at least `minAgeMs`, started or not, is still at work. */
  keepAlive(minAgeMs: number): void {
    this.#open.keepAlive(minAgeMs);
  }

  /** Removes and returns the deliveries that have not started; from now on none does. */
  takeWaiting(): OpenDelivery[] {
    this.#state = 'stopping';
    const taken: OpenDelivery[] = [];
    const kept: OpenDelivery[] = [];
    for (const queue of this.#queues.values()) queue.waiting.drain();
    this.#runnable.clear();
    this.#busy.clear();
    for (const open of this.#open) {
      if (open.stage === 'running' || open.stage === 'parking') kept.push(open);
      else taken.push(open);
    }
    this.#lines.cut(kept);
    for (const open of taken) {
      clearTimeout(open.timer);
      this.#forget(open);
    }
    return taken;
  }

  /** Resolves once nothing runs. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  stop(): void {
    clearTimeout(this.#recheck);
    for (const { circuit } of this.#queues.values()) circuit.stop();
  }

  #hold(open: OpenDelivery, delayMs: number, next: () => void): void {
    open.stage = 'held';
    open.timer = setTimeout(next, delayMs);
  }

  #stand(open: OpenDelivery): void {
    open.stage = 'queued';
    if (this.#limits.mayPark && this.#isShort && this.#lines.length(open.delivery.connectionId) >= longLine) {
      void this.#parkAside(open);
    } else {
      this.#enter(open);
    }
  }

  #enter(open: OpenDelivery): void {
    if (this.#lines.enter(open) === 1) this.#routeAndAdmit(open);
    else this.#shed(open);
  }

  #routeAndAdmit(open: OpenDelivery): void {
    if (open.isShed) void this.#recall(open);
    else this.#admit(open, this.#steps.route(open));
  }

  /** Forgets the payload of what may not move out and has to wait, while memory is short. */
  #shed(open: OpenDelivery): void {
    if (this.#isShort && !this.#limits.mayPark) this.#open.shed(open);
  }

  async #recall(open: OpenDelivery): Promise<void> {
    open.stage = 'queued';
    const outcome = await this.#open.recall(open);
    if (!this.#open.has(open)) return;
    if (outcome === 'read') this.#admit(open, this.#steps.route(open));
    else if (outcome === 'gone') this.#end(open);
    else this.#hold(open, recallRetryMs, () => void this.#recall(open));
  }

  #admit(open: OpenDelivery, name: string): void {
    const queue = this.#queues.get(name) ?? this.#createQueue(name);
    if (this.#state === 'stopping') {
      void this.#park(open, queue);
    } else if (queue.waiting.length === 0 && queue.hasRoom && this.#hasPlace(queue)) {
      void this.#start(open, queue);
    } else if (this.#mustPark(open, queue)) {
      void this.#park(open, queue);
    } else {
      this.#wait(open, queue);
    }
  }

  #createQueue(name: string): DestinationQueue {
    const isOwn = name === deadLetterRoom;
    const limit = isOwn ? maxDeadLettersAtOnce : this.#limits.maxRunningPerDestination;
    const queue = new DestinationQueue(name, limit, !isOwn, this.#circuit, (changed, state) => {
      this.#settle(changed);
      this.#events.onCircuit(changed, state);
      this.#fill();
    });
    this.#queues.set(name, queue);
    return queue;
  }

  #hasPlace(queue: DestinationQueue): boolean {
    return !queue.takesPlaces || this.#places < this.#limits.maxRunning;
  }

  /**
   * A few stay here, so that there is something to start with when there is room again. A destination that is merely busy
   * has room soon. What comes from the waiting room was asked for.
   */
  #mustPark({ delivery }: OpenDelivery, queue: DestinationQueue): boolean {
    const { mayPark, hasOthers } = this.#limits;
    if (!mayPark || delivery.room === queue.name || (queue.takesPlaces && !hasOthers)) return false;
    if (queue.circuit.state !== 'closed') return queue.waiting.length >= fewWaiting;
    return queue.waiting.length >= queue.limit && (queue.isSlow || !queue.takesPlaces);
  }

  #wait(open: OpenDelivery, queue: DestinationQueue): void {
    open.stage = 'waiting';
    if (queue.isSlow && queue.waiting.length >= fewWaiting) this.#shed(open);
    queue.waiting.push(open);
    this.#settle(queue);
  }

  async #park(open: OpenDelivery, queue: DestinationQueue): Promise<void> {
    open.stage = 'parking';
    if (await this.#steps.park(open, queue.name)) this.#end(open);
    else this.#wait(open, queue);
    this.#fill();
  }

  /** Moves out what would only wait for its connection. */
  async #parkAside(open: OpenDelivery): Promise<void> {
    open.stage = 'parking';
    if (await this.#steps.park(open, unroutedRoom)) {
      this.#forget(open);
    } else {
      open.stage = 'queued';
      this.#enter(open);
    }
  }

  #settle(queue: DestinationQueue): void {
    const isBusy = queue.waiting.length > 0;
    if (!queue.takesPlaces) {
      if (isBusy && queue.hasRoom) this.#startNext(queue);
      return;
    }
    if (isBusy) this.#busy.add(queue);
    else this.#busy.delete(queue);
    if (isBusy && queue.hasRoom) this.#runnable.add(queue);
    else this.#runnable.delete(queue);
  }

  #fill(): void {
    if (this.#state === 'stopping') return;
    for (const queue of this.#runnable) {
      if (this.#places >= this.#limits.maxRunning) return;
      // Moves to the end, so that destinations take turns.
      this.#runnable.delete(queue);
      this.#startNext(queue);
    }
  }

  #startNext(queue: DestinationQueue): void {
    const open = queue.waiting.shift();
    if (open === undefined) return;
    void this.#start(open, queue);
    this.#settle(queue);
  }

  async #start(open: OpenDelivery, queue: DestinationQueue): Promise<void> {
    open.stage = 'running';
    const startedAtMs = performance.now();
    this.#running += 1;
    queue.begin();
    if (queue.takesPlaces) this.#places += 1;
    const outcome = await this.#runWhole(open, queue);
    this.#running -= 1;
    queue.end(performance.now() - startedAtMs);
    if (queue.takesPlaces) this.#places -= 1;
    this.#settle(queue);
    if (queue.isIdle && this.#queues.size > maxQueues) this.#queues.delete(queue.name);
    this.#goOn(open, outcome, queue);
    this.#fill();
    if (this.#running > 0) return;
    for (const resolve of this.#onIdle) resolve();
    this.#onIdle = [];
  }

  /** Its payload is read again first, if need be. */
  async #runWhole(open: OpenDelivery, queue: DestinationQueue): Promise<RunOutcome> {
    if (open.isShed) {
      const outcome = await this.#open.recall(open);
      if (outcome === 'gone') return ended;
      if (outcome === 'unavailable') return { kind: 'held', delayMs: recallRetryMs };
    }
    return this.#steps.run(open, queue);
  }

  #goOn(open: OpenDelivery, outcome: RunOutcome, queue: DestinationQueue): void {
    if (outcome.kind === 'ended' || open.delivery.isWithdrawn) this.#end(open);
    else if (outcome.kind === 'moved') this.#admit(open, outcome.queue);
    else if (this.#state === 'stopping') void this.#park(open, queue);
    else {
      this.#hold(open, outcome.delayMs, () => this.#routeAndAdmit(open));
      this.#shed(open);
    }
  }

  #end(open: OpenDelivery): void {
    this.#forget(open);
    const next = this.#lines.leave(open);
    if (next !== undefined) this.#routeAndAdmit(next);
  }

  #forget(open: OpenDelivery): void {
    if (!this.#open.delete(open)) return;
    this.#weigh();
  }

  #weigh(): void {
    this.#open.weigh();
    const { isShort, isFull } = this.#open;
    const { maxRunning } = this.#limits;
    const ready = this.#ready();
    const wanted = isFull ? 0 : Math.max(0, maxRunning - ready);
    // A destination that stops answering causes no event.
    if (ready > 0) this.#recheck ??= setTimeout(() => this.#weighAgain(), recheckMs).unref();
    const change = Math.abs(this.#open.size + wanted - this.#maxFromStream);
    if (change < maxRunning / 4 && isShort === this.#isShort) return;
    this.#maxFromStream = this.#open.size + wanted;
    this.#isShort = isShort;
    this.#events.onRoom();
  }

  #weighAgain(): void {
    this.#recheck = undefined;
    this.#weigh();
  }

  /** Deliveries that will have a place soon. */
  #ready(): number {
    let ready = 0;
    for (const queue of this.#busy) {
      if (!this.#limits.hasOthers || this.#runnable.has(queue) || !queue.isSlow) ready += queue.waiting.length;
    }
    return ready;
  }
}
