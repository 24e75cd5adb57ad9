/** What this replica knew of lanes that it has given up, until their next owners have read it. */

import type { LaneRecord } from './owner-record.ts';

const maxRecords = 512;
/** After this time the server has read every acknowledgement. */
const acknowledgedMs = 10_000;

export class GivenUp {
  /** By the name of the consumer, oldest first. */
  readonly #records = new Map<string, LaneRecord>();

  get records(): ReadonlyMap<string, LaneRecord> {
    return this.#records;
  }

  keep(consumer: string, record: LaneRecord): void {
    this.#records.delete(consumer);
    this.#records.set(consumer, record);
    const [oldest] = this.#records.keys();
    if (this.#records.size > maxRecords && oldest !== undefined) this.#records.delete(oldest);
    if (record.ended.length > 0) setTimeout(() => this.#shorten(consumer, record), acknowledgedMs).unref();
  }

  /** Forgets what belonged to consumers that have been replaced. @param present the names of those that exist */
  forgetReplaced(present: ReadonlySet<string>): void {
    for (const consumer of this.#records.keys()) if (!present.has(consumer)) this.#records.delete(consumer);
  }

  #shorten(consumer: string, record: LaneRecord): void {
    if (this.#records.get(consumer) === record) this.#records.set(consumer, { ...record, ended: [] });
  }
}
