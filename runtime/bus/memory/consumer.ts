/**
 * A durable consumer of the memory bus, with the state that JetStream keeps for one message processor. Messages wait in
 * lanes (a single one when unordered; when ordered `partitions` lanes, each of which belongs to one replica) and go to
 * attached replicas of the processor while these have room. Its timers do not keep the process alive.
 */

import type { ConsumerOptions, Lag } from '../port/messages.ts';
import { partitionOf } from '../subjects.ts';
import { MemoryDelivery } from './delivery.ts';
import {
  type ConsumerLane,
  createLanes,
  type LaneEntry,
  ownerOf,
  putBack,
  type Replica,
  type Stored,
} from './lanes.ts';

export class MemoryConsumer {
  readonly #release: (stored: Stored) => void;
  readonly #replicas = new Set<Replica>();
  readonly #open = new Set<MemoryDelivery>();
  /** Entries handed back, each with the timer after which it is due again. */
  readonly #delayed = new Map<LaneEntry, NodeJS.Timeout>();
  /** Replicas that were detached while something had begun. */
  readonly #leaving = new Map<Replica, () => void>();
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

  /**
   * Delivers nothing more to it. What it has open of ordered lanes goes to others: at once what has not begun, or everything
   * when it is lost, and the rest once that has ended or rests, which is when this resolves.
   */
  detach(replica: Replica, isLost = false): Promise<void> {
    if (!this.#replicas.delete(replica)) return Promise.resolve();
    const open = Array.from(this.#open).filter((one) => one.replica === replica && one.entry.lane.isOrdered);
    this.#takeBack(
      open.filter((one) => isLost || !one.hasBegun),
      isLost,
    );
    replica.onWithdrawn?.();
    this.wake();
    if (isLost || open.every((one) => !one.hasBegun)) return Promise.resolve();
    return new Promise((resolve) => this.#leaving.set(replica, resolve));
  }

  rested(delivery: MemoryDelivery): void {
    const { entry, replica } = delivery;
    if (!entry.lane.isOrdered) return;
    entry.attempts = delivery.attempt - 1;
    if (this.#replicas.has(replica) || !this.#open.has(delivery)) return;
    this.#takeBack([delivery], false);
    this.#checkLeft(replica);
  }

  /** Its messages and replicas have gone. */
  stop(): void {
    clearInterval(this.#sweeper);
  }

  /** Lanes that belong to a replica; undefined unless ordered. */
  lanesOf(replica: Replica): number | undefined {
    if (this.#lanes[0]?.isOrdered !== true) return undefined;
    return this.#lanes.filter(({ owner }) => owner === replica).length;
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
    this.#checkLeft(delivery.replica);
    this.wake();
  }

  retry(delivery: MemoryDelivery, delayMs: number): void {
    if (!this.#close(delivery)) return;
    const { entry } = delivery;
    if (entry.lane.isOrdered) entry.attempts = delivery.attempt;
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
    if (lane.again.length + lane.waiting.length > 0) this.#ready.add(lane);
    else this.#ready.delete(lane);
  }

  #sweep(): void {
    const now = Date.now();
    for (const delivery of this.#open) {
      // What is open in an ordered lane is its owner's for as long as the lane is.
      if (delivery.deadlineMs > now || delivery.entry.lane.isOrdered) continue;
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
    // One message of each lane at a time, so that lanes take turns.
    let isMoving = true;
    while (isMoving) {
      isMoving = false;
      for (const lane of [...this.#ready]) isMoving = this.#pumpLane(lane) || isMoving;
    }
  }

  /** @returns false when nothing can be delivered */
  #pumpLane(lane: ConsumerLane): boolean {
    const replica = lane.isOrdered ? this.#ownerWithRoom(lane) : this.#nextReplica();
    if (replica === undefined) return false;
    const entry = lane.again.shift() ?? lane.waiting.shift();
    if (entry === undefined) return false;
    lane.open++;
    this.#settle(lane);
    this.#deliver(entry, replica);
    return true;
  }

  #ownerWithRoom(lane: ConsumerLane): Replica | undefined {
    const owner = ownerOf(lane, this.#lanes, this.#replicas);
    if (owner === undefined || !this.#replicas.has(owner)) return undefined;
    return owner.open < owner.maxInFlight && owner.link.isUp ? owner : undefined;
  }

  /** @param isLost the first of each connection counts as attempted */
  #takeBack(deliveries: readonly MemoryDelivery[], isLost: boolean): void {
    const firsts = new Set<string>();
    for (const delivery of deliveries) {
      if (!this.#close(delivery)) continue;
      const { entry } = delivery;
      delivery.withdraw();
      entry.lane.open--;
      if (isLost && !firsts.has(delivery.connectionId)) entry.attempts++;
      firsts.add(delivery.connectionId);
      putBack(entry.lane, [entry]);
      this.#settle(entry.lane);
    }
    this.wake();
  }

  #checkLeft(replica: Replica): void {
    const left = this.#leaving.get(replica);
    if (left === undefined) return;
    for (const delivery of this.#open) if (delivery.replica === replica && delivery.entry.lane.isOrdered) return;
    this.#leaving.delete(replica);
    left();
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
    if (!entry.lane.isOrdered) entry.attempts++;
    const delivery = new MemoryDelivery(entry, replica, this);
    this.#open.add(delivery);
    replica.open++;
    replica.onDelivery(delivery);
  }
}

function toSet(endpoints: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return endpoints === undefined ? undefined : new Set(endpoints);
}
