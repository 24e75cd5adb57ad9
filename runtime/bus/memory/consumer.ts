/**
 * A durable consumer of the memory bus: what JetStream keeps for one message processor. Messages wait in lanes (one
 * without a limit when unordered, `partitions` with one open delivery each when ordered) and go to attached members,
 * which are the replicas of the processor, as far as they have room. Its timers keep no process alive.
 */

import { Fifo } from '../../fifo.ts';
import type { ClientMessage, ConsumerOptions, Delivery, Lag } from '../port/messages.ts';
import { partitionOf } from '../subjects.ts';

/** A stored message. It leaves the store when `holders`, the consumers that still need it, reaches zero. */
export interface Stored {
  readonly message: ClientMessage;
  readonly storedAtMs: number;
  holders: number;
}

/** One attached replica. */
export interface Member {
  readonly maxInFlight: number;
  readonly onDelivery: (delivery: Delivery) => void;
  /** False while its bus is down: it gets nothing. */
  isReachable(): boolean;
  /** False once its bus was stopped: what it says about deliveries is not heard. */
  isHeard(): boolean;
  open: number;
}

export interface MemoryConsumer {
  configure(options: ConsumerOptions): void;
  covers(endpoint: string): boolean;
  enqueue(stored: Stored, isReplay: boolean): void;
  attach(member: Member): void;
  detach(member: Member): void;
  lag(): Lag;
  /** Hands out what can be handed out, soon and never inside the caller. */
  wake(): void;
}

interface Lane {
  readonly maxOpen: number;
  /** Attempted before and due again: goes ahead of what waits. */
  readonly again: Fifo<Entry>;
  readonly waiting: Fifo<Entry>;
  open: number;
}

interface Entry {
  readonly stored: Stored;
  readonly isReplay: boolean;
  readonly order: number;
  attempts: number;
  lane: Lane;
}

interface Open {
  readonly entry: Entry;
  readonly member: Member;
  deadlineMs: number;
}

/** @param release called when this consumer needs a stored message no longer */
export function createMemoryConsumer(initial: ConsumerOptions, release: (stored: Stored) => void): MemoryConsumer {
  let options = initial;
  let endpoints = toSet(initial.endpoints);
  let lanes = createLanes(initial);
  let enqueued = 0;
  let isScheduled = false;
  const ready = new Set<Lane>();
  const members = new Set<Member>();
  const opens = new Set<Open>();
  const delayed = new Map<Entry, NodeJS.Timeout>();
  let sweeper = startSweeper();

  function startSweeper(): NodeJS.Timeout {
    const everyMs = Math.max(5, Math.min(1000, options.ackTimeoutMs / 4));
    return setInterval(sweep, everyMs).unref();
  }

  function laneOf(stored: Stored): Lane {
    const lane = lanes[partitionOf(stored.message.connectionId) % lanes.length];
    if (lane === undefined) throw new Error('a consumer has at least one lane');
    return lane;
  }

  function settle(lane: Lane): void {
    if (lane.open < lane.maxOpen && lane.again.length + lane.waiting.length > 0) ready.add(lane);
    else ready.delete(lane);
  }

  function sweep(): void {
    const now = Date.now();
    for (const open of opens) {
      if (open.deadlineMs > now) continue;
      close(open);
      again(open.entry);
    }
  }

  function close(open: Open): boolean {
    if (!opens.delete(open)) return false;
    open.member.open--;
    return true;
  }

  // The lane stays occupied while an attempt is delayed, so that order holds through retries.
  function again(entry: Entry): void {
    entry.lane.open--;
    entry.lane.again.push(entry);
    settle(entry.lane);
    wake();
  }

  function finish(open: Open): void {
    if (!open.member.isHeard() || !close(open)) return;
    open.entry.lane.open--;
    settle(open.entry.lane);
    release(open.entry.stored);
    wake();
  }

  function retry(open: Open, delayMs: number): void {
    if (!open.member.isHeard() || !close(open)) return;
    const timer = setTimeout(
      () => {
        delayed.delete(open.entry);
        again(open.entry);
      },
      Math.max(0, delayMs),
    ).unref();
    delayed.set(open.entry, timer);
    wake();
  }

  function wake(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      pump();
    });
  }

  function pump(): void {
    for (let lane = first(ready); lane !== undefined; lane = first(ready)) {
      const member = nextMember();
      if (member === undefined) return;
      const entry = lane.again.shift() ?? lane.waiting.shift();
      if (entry === undefined) throw new Error('a ready lane holds an entry');
      lane.open++;
      ready.delete(lane);
      settle(lane);
      deliver(entry, member);
    }
  }

  function nextMember(): Member | undefined {
    for (const member of members) {
      if (member.open >= member.maxInFlight || !member.isReachable()) continue;
      members.delete(member);
      members.add(member);
      return member;
    }
    return undefined;
  }

  function deliver(entry: Entry, member: Member): void {
    entry.attempts++;
    const open: Open = { entry, member, deadlineMs: Date.now() + options.ackTimeoutMs };
    opens.add(open);
    member.open++;
    const { message, storedAtMs } = entry.stored;
    member.onDelivery({
      id: message.id,
      connectionId: message.connectionId,
      endpoint: message.endpoint,
      callbackUrl: message.callbackUrl,
      payload: message.payload,
      attempt: entry.attempts,
      isReplay: entry.isReplay,
      storedAtMs,
      ack: () => finish(open),
      nak: (delayMs) => retry(open, delayMs),
      working: () => {
        if (member.isHeard()) open.deadlineMs = Date.now() + options.ackTimeoutMs;
      },
      term: () => finish(open),
    });
  }

  return {
    configure: (next) => {
      const isRelaned = next.ordering !== options.ordering || next.partitions !== options.partitions;
      options = next;
      endpoints = toSet(next.endpoints);
      clearInterval(sweeper);
      sweeper = startSweeper();
      if (!isRelaned) return;
      const entries = lanes.flatMap((lane) => [...lane.again.drain(), ...lane.waiting.drain()]);
      ready.clear();
      lanes = createLanes(next);
      for (const entry of [...Array.from(opens, (open) => open.entry), ...delayed.keys()]) {
        entry.lane = laneOf(entry.stored);
        entry.lane.open++;
      }
      for (const entry of entries.sort((a, b) => a.order - b.order)) {
        entry.lane = laneOf(entry.stored);
        (entry.attempts > 0 ? entry.lane.again : entry.lane.waiting).push(entry);
        settle(entry.lane);
      }
      wake();
    },
    covers: (endpoint) => endpoints === undefined || endpoints.has(endpoint),
    enqueue: (stored, isReplay) => {
      const lane = laneOf(stored);
      lane.waiting.push({ stored, isReplay, order: enqueued++, attempts: 0, lane });
      settle(lane);
      wake();
    },
    attach: (member) => {
      members.add(member);
      wake();
    },
    detach: (member) => members.delete(member),
    lag: () => {
      let pending = 0;
      let unacknowledged = opens.size + delayed.size;
      for (const lane of lanes) {
        pending += lane.waiting.length;
        unacknowledged += lane.again.length;
      }
      return { pending, unacknowledged };
    },
    wake,
  };
}

function createLanes(options: ConsumerOptions): Lane[] {
  const isOrdered = options.ordering === 'PerConnection';
  const create = (): Lane => ({
    maxOpen: isOrdered ? 1 : Number.POSITIVE_INFINITY,
    again: new Fifo(),
    waiting: new Fifo(),
    open: 0,
  });
  return Array.from({ length: isOrdered ? options.partitions : 1 }, create);
}

function toSet(endpoints: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return endpoints === undefined ? undefined : new Set(endpoints);
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const item of set) return item;
  return undefined;
}
