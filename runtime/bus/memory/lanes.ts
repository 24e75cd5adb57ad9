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
  readonly maxOpen: number;
  /** Attempted before and due again: these go first. */
  readonly again: Fifo<LaneEntry>;
  readonly waiting: Fifo<LaneEntry>;
  open: number;
}

/** One lane when unordered, one per partition when ordered. */
export function createLanes({ ordering, partitions }: ConsumerOptions): ConsumerLane[] {
  const isOrdered = ordering === 'PerConnection';
  const create = (): ConsumerLane => ({
    maxOpen: isOrdered ? 1 : Number.POSITIVE_INFINITY,
    again: new Fifo(),
    waiting: new Fifo(),
    open: 0,
  });
  return Array.from({ length: isOrdered ? partitions : 1 }, create);
}
