/**
 * A durable consumer of the memory bus, with the state that JetStream keeps for one message processor. Messages wait in
 * lanes (a single one without a limit when unordered, `partitions` lanes with one open delivery each when ordered) and
 * go to attached replicas of the processor while these have room. Its timers do not keep the process alive.
 */

import type { ConsumerOptions, Lag } from '../port/messages.ts';
import { partitionOf } from '../subjects.ts';
import { MemoryDelivery } from './delivery.ts';
import { type ConsumerLane, createLanes, type LaneEntry, type Replica, type Stored } from './lanes.ts';

export class MemoryConsumer {
  readonly #release: (stored: Stored) => void;
  readonly #replicas = new Set<Replica>();
  readonly #open = new Set<MemoryDelivery>();
  /** Entries handed back, each with the timer after which it is due again. */
  readonly #delayed = new Map<LaneEntry, NodeJS.Timeout>();
  /** Lanes that can deliver now. */
  readonly #ready = new Set<ConsumerLane>();
  #options: ConsumerOptions;
  #endpoints: ReadonlySet<string> | undefined;
  #lanes: readonly ConsumerLane[];
  #enqueued = 0;
  #isScheduled = false;
  #sweeper: NodeJS.Timeout;

  /** @param release called when this consumer no longer needs a stored message */
  constructor(options: ConsumerOptions, release: (stored: Stored) => void) {
    this.#release = release;
    this.#options = options;
    this.#endpoints = toSet(options.endpoints);
    this.#lanes = createLanes(options);
    this.#sweeper = this.#startSweeper();
  }

  get hasReplicas(): boolean {
    return this.#replicas.size > 0;
  }

  get ackTimeoutMs(): number {
    return this.#options.ackTimeoutMs;
  }

  configure(next: ConsumerOptions): void {
    const isReshaped = next.ordering !== this.#options.ordering || next.partitions !== this.#options.partitions;
    this.#options = next;
    this.#endpoints = toSet(next.endpoints);
    clearInterval(this.#sweeper);
    this.#sweeper = this.#startSweeper();
    if (isReshaped) this.#reshape();
  }

  covers(endpoint: string): boolean {
    return this.#endpoints === undefined || this.#endpoints.has(endpoint);
  }

  enqueue(stored: Stored): void {
    const lane = this.#laneOf(stored);
    lane.waiting.push({ stored, order: this.#enqueued++, attempts: 0, lane });
    this.#settle(lane);
    this.wake();
  }

  attach(replica: Replica): void {
    this.#replicas.add(replica);
    this.wake();
  }

  detach(replica: Replica): void {
    this.#replicas.delete(replica);
  }

  /** Its messages and replicas have gone. */
  stop(): void {
    clearInterval(this.#sweeper);
  }

  lag(): Lag {
    let pending = 0;
    let unacknowledged = this.#open.size + this.#delayed.size;
    for (const lane of this.#lanes) {
      pending += lane.waiting.length;
      unacknowledged += lane.again.length;
    }
    return { pending, unacknowledged };
  }

  /** Schedules the handing out of messages; it never happens within the call. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  finish(delivery: MemoryDelivery): void {
    if (!this.#close(delivery)) return;
    const { lane, stored } = delivery.entry;
    lane.open--;
    this.#settle(lane);
    this.#release(stored);
    this.wake();
  }

  // The lane stays occupied while an attempt is delayed, so that retries keep the order.
  retry(delivery: MemoryDelivery, delayMs: number): void {
    if (!this.#close(delivery)) return;
    const { entry } = delivery;
    const dueAgain = (): void => {
      this.#delayed.delete(entry);
      this.#again(entry);
    };
    this.#delayed.set(entry, setTimeout(dueAgain, Math.max(0, delayMs)).unref());
    this.wake();
  }

  #startSweeper(): NodeJS.Timeout {
    const everyMs = Math.max(5, Math.min(1000, this.ackTimeoutMs / 4));
    return setInterval(() => this.#sweep(), everyMs).unref();
  }

  #reshape(): void {
    const entries = this.#lanes.flatMap((lane) => [...lane.again.drain(), ...lane.waiting.drain()]);
    this.#ready.clear();
    this.#lanes = createLanes(this.#options);
    for (const entry of [...Array.from(this.#open, (delivery) => delivery.entry), ...this.#delayed.keys()]) {
      entry.lane = this.#laneOf(entry.stored);
      entry.lane.open++;
    }
    for (const entry of entries.sort((a, b) => a.order - b.order)) {
      entry.lane = this.#laneOf(entry.stored);
      (entry.attempts > 0 ? entry.lane.again : entry.lane.waiting).push(entry);
      this.#settle(entry.lane);
    }
    this.wake();
  }

  #laneOf(stored: Stored): ConsumerLane {
    const lane = this.#lanes[partitionOf(stored.message.connectionId) % this.#lanes.length];
    if (lane === undefined) throw new Error('a consumer has at least one lane');
    return lane;
  }

  #settle(lane: ConsumerLane): void {
    if (lane.open < lane.maxOpen && lane.again.length + lane.waiting.length > 0) this.#ready.add(lane);
    else this.#ready.delete(lane);
  }

  #sweep(): void {
    const now = Date.now();
    for (const delivery of this.#open) {
      if (delivery.deadlineMs > now) continue;
      this.#close(delivery);
      this.#again(delivery.entry);
    }
  }

  #close(delivery: MemoryDelivery): boolean {
    if (!this.#open.delete(delivery)) return false;
    delivery.replica.open--;
    return true;
  }

  #again(entry: LaneEntry): void {
    entry.lane.open--;
    entry.lane.again.push(entry);
    this.#settle(entry.lane);
    this.wake();
  }

  #pump(): void {
    for (let lane = first(this.#ready); lane !== undefined; lane = first(this.#ready)) {
      const replica = this.#nextReplica();
      if (replica === undefined) return;
      const entry = lane.again.shift() ?? lane.waiting.shift();
      if (entry === undefined) throw new Error('a ready lane has an entry');
      lane.open++;
      // Moves to the end of the ready lanes, so that lanes take turns.
      this.#ready.delete(lane);
      this.#settle(lane);
      this.#deliver(entry, replica);
    }
  }

  /** The replicas take turns. */
  #nextReplica(): Replica | undefined {
    for (const replica of this.#replicas) {
      if (replica.open >= replica.maxInFlight || !replica.link.isUp) continue;
      this.#replicas.delete(replica);
      this.#replicas.add(replica);
      return replica;
    }
    return undefined;
  }

  #deliver(entry: LaneEntry, replica: Replica): void {
    entry.attempts++;
    const delivery = new MemoryDelivery(entry, replica, this);
    this.#open.add(delivery);
    replica.open++;
    replica.onDelivery(delivery);
  }
}

function toSet(endpoints: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return endpoints === undefined ? undefined : new Set(endpoints);
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const item of set) return item;
  return undefined;
}
