/** The lanes of a memory consumer, in which messages wait for a replica. */

import { Fifo } from '../../fifo.ts';
import type { ClientMessage } from '../port/client-message.ts';
import type { ConsumerOptions, Delivery } from '../port/messages.ts';
import type { Parking } from '../port/waiting.ts';
import type { MemoryLink } from './link.ts';

/** A stored message. It leaves the store when `holders`, the consumers that still need it, reaches zero. */
export interface Stored {
  readonly message: ClientMessage;
  readonly isReplay: boolean;
  readonly storedAtMs: number;
  /** Unique in the store that has stored it. */
  readonly number: number;
  /** Set in a waiting room. */
  readonly parking: (Parking & { readonly room: string }) | undefined;
  holders: number;
}

/** One process that consumes; it receives nothing while its link is down. */
export interface Replica {
  maxInFlight: number;
  readonly onDelivery: (delivery: Delivery) => void;
  readonly onWithdrawn?: (() => void) | undefined;
  readonly link: MemoryLink;
  open: number;
}

/** A stored message as one consumer keeps it. */
export interface LaneEntry {
  readonly stored: Stored;
  readonly order: number;
  attempts: number;
  lane: ConsumerLane;
}

export interface ConsumerLane {
  /** Its messages go to one replica at a time, in order. */
  readonly isOrdered: boolean;
  /** Attempted before and due again: these go first. */
  readonly again: Fifo<LaneEntry>;
  readonly waiting: Fifo<LaneEntry>;
  open: number;
  /** The replica that an ordered lane belongs to. */
  owner: Replica | undefined;
}

/** One lane when unordered, one per partition when ordered. */
export function createLanes({ ordering, partitions }: ConsumerOptions): ConsumerLane[] {
  const isOrdered = ordering === 'PerConnection';
  const create = (): ConsumerLane => ({
    isOrdered,
    again: new Fifo(),
    waiting: new Fifo(),
    open: 0,
    owner: undefined,
  });
  return Array.from({ length: isOrdered ? partitions : 1 }, create);
}

/**
 * The replica that an ordered lane belongs to: while nothing of it is open, the one that has the fewest lanes.
 * @param replicas those that are attached
 */
export function ownerOf(
  lane: ConsumerLane,
  lanes: readonly ConsumerLane[],
  replicas: ReadonlySet<Replica>,
): Replica | undefined {
  if (lane.open > 0) return lane.owner;
  const counts = new Map(Array.from(replicas, (replica) => [replica, 0]));
  for (const { owner } of lanes) {
    const count = owner === undefined ? undefined : counts.get(owner);
    if (owner !== undefined && count !== undefined) counts.set(owner, count + 1);
  }
  const isAttached = lane.owner !== undefined && replicas.has(lane.owner);
  if (isAttached && (counts.get(lane.owner as Replica) ?? 0) <= Math.ceil(lanes.length / replicas.size))
    return lane.owner;
  let poorest: Replica | undefined;
  for (const [replica, count] of counts) {
    if (poorest === undefined || count < (counts.get(poorest) ?? 0)) poorest = replica;
  }
  lane.owner = poorest;
  return poorest;
}

/** Puts entries that were not ended back in front of a lane. */
export function putBack(lane: ConsumerLane, entries: readonly LaneEntry[]): void {
  const all = [...lane.again.drain(), ...entries].sort((a, b) => a.order - b.order);
  for (const entry of all) lane.again.push(entry);
}
