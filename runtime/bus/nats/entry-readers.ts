/**
 * Who reads entries, as a gateway sees it. A consumer of entries has a reader while a replica waits for its next message
 * there or has been given any since the last look, and for a while after that, because replicas need a moment to connect
 * again. A replica that is about to stop says so, and from then on only one that waits is a reader: what the leaving one
 * still takes is no reason to write more for it.
 */

import { type KnownConsumer, metadataKeys } from './consumer-view.ts';

type Looked = Pick<KnownConsumer, 'name' | 'config' | 'num_waiting' | 'delivered'>;

interface Look {
  readonly delivered: number;
  /** When a reader was last seen, in `performance.now()`. */
  readonly seenAtMs: number;
}

/** How long a reader that is no longer seen counts. */
const absentMs = 10_000;
const never = Number.NEGATIVE_INFINITY;

export class EntryReaders {
  readonly #looks = new Map<string, Look>();
  /** Processors of which a replica leaves that may have been the last reader. */
  readonly #left = new Set<string>();

  /** True if somebody reads from this consumer. */
  isRead(consumer: string): boolean {
    return performance.now() - (this.#looks.get(consumer)?.seenAtMs ?? never) < absentMs;
  }

  /** Takes over what the server says of the consumers of entries among these, which are all that exist. */
  lookAll(consumers: readonly Looked[]): void {
    const names = new Set(consumers.map(({ name }) => name));
    for (const name of this.#looks.keys()) if (!names.has(name)) this.#looks.delete(name);
    for (const consumer of consumers) this.look(consumer);
  }

  look({ name, config, num_waiting, delivered: { consumer_seq: delivered } }: Looked): void {
    const processor = config.metadata?.[metadataKeys.entriesOf];
    if (processor === undefined) return;
    if (num_waiting > 0) this.#left.delete(processor);
    const before = this.#looks.get(name) ?? { delivered, seenAtMs: never };
    const hasMoved = before.delivered !== delivered && !this.#left.has(processor);
    const seenAtMs = num_waiting > 0 || hasMoved ? performance.now() : before.seenAtMs;
    this.#looks.set(name, { delivered, seenAtMs });
  }

  /** A replica of this processor leaves. @param consumers those of its entries */
  leave(processor: string, consumers: readonly Looked[]): void {
    this.#left.add(processor);
    for (const { name } of consumers) {
      const known = this.#looks.get(name);
      if (known !== undefined) this.#looks.set(name, { ...known, seenAtMs: never });
    }
  }
}
