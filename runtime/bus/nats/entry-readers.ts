/**
 * Who reads entries, as a gateway sees it. A consumer of entries has a reader while a replica waits for its next message
 * there or has been given any since the last look, and for a while after that, because replicas need a moment to connect
 * again. A replica that is about to stop says so, and from then on only one that waits is a reader: what the leaving one
 * still takes is no reason to write more for it.
 */

import { slotOf, speaksFor } from './consumer-sets.ts';
import type { KnownConsumer } from './consumer-view.ts';

type Looked = Pick<KnownConsumer, 'name' | 'config' | 'num_waiting' | 'delivered'>;

interface Look {
  readonly processor: string;
  readonly delivered: number;
  /** When a reader was last seen, in `performance.now()`. */
  readonly seenAtMs: number;
}

/** How long a reader that is no longer seen counts. */
const absentMs = 10_000;
const never = Number.NEGATIVE_INFINITY;

export class EntryReaders {
  /** By the name of the consumer, without the number of a take: a lane that changes hands is still read. */
  readonly #looks = new Map<string, Look>();
  /** Processors of which a replica leaves that may have been the last reader. */
  readonly #left = new Set<string>();

  /** True if somebody reads from this consumer. @param slot its name without the number of a take */
  isRead(slot: string): boolean {
    return performance.now() - (this.#looks.get(slot)?.seenAtMs ?? never) < absentMs;
  }

  /** Takes over what the server says of those that show who reads entries, among all that exist. */
  lookAll(consumers: readonly Looked[]): void {
    const slots = new Set(consumers.map(({ name }) => slotOf(name)));
    for (const slot of this.#looks.keys()) if (!slots.has(slot)) this.#looks.delete(slot);
    for (const consumer of consumers) this.look(consumer);
  }

  look(consumer: Looked): void {
    const processor = speaksFor(consumer);
    if (processor === undefined) return;
    const { num_waiting, delivered } = consumer;
    const slot = slotOf(consumer.name);
    if (num_waiting > 0) this.#left.delete(processor);
    const before = this.#looks.get(slot) ?? { delivered: delivered.consumer_seq, seenAtMs: never };
    const hasMoved = before.delivered !== delivered.consumer_seq && !this.#left.has(processor);
    const seenAtMs = num_waiting > 0 || hasMoved ? performance.now() : before.seenAtMs;
    this.#looks.set(slot, { processor, delivered: delivered.consumer_seq, seenAtMs });
  }

  /** A replica of this processor leaves. */
  leave(processor: string): void {
    this.#left.add(processor);
    for (const [slot, look] of this.#looks) {
      if (look.processor === processor) this.#looks.set(slot, { ...look, seenAtMs: never });
    }
  }
}
