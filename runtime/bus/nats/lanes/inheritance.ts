/**
 * What earlier owners of a lane left to the next one: the attempts of messages that are not consumed, and which messages of
 * an entry are. Attempts are as many as the last owner said, and one for each owner that was lost while the message was the
 * first of its connection, because that is the only one which counts as sent.
 */

import { type LaneRecord, messageKey, sequenceOf } from './owner-record.ts';

export class Inheritance {
  readonly #attempts: LaneRecord['attempts'];
  readonly #left: LaneRecord['left'];
  readonly #marks: readonly number[];
  /** The last message that a lost owner may have had; 0: none was lost. */
  readonly lastMark: number;
  /** Connections of which a message was seen that a lost owner may have had. */
  readonly #seen = new Set<string>();
  /** The last message that has arrived since. */
  #last = 0;

  /**
   * @param record what the last owner said
   * @param marks for each owner that was lost, the last stream sequence that had been delivered to it
   */
  constructor(record: Pick<LaneRecord, 'attempts' | 'left'> | undefined, marks: readonly number[]) {
    this.#attempts = record?.attempts ?? new Map();
    this.#left = record?.left ?? new Map();
    this.#marks = marks;
    this.lastMark = Math.max(0, ...marks);
  }

  /** The messages of an entry that are not consumed; undefined: all that it holds. Call it in the order of the stream. */
  leftOf(sequence: number): ReadonlySet<number> | undefined {
    this.#last = Math.max(this.#last, sequence);
    const left = this.#left.get(sequence);
    return left && new Set(left);
  }

  /** The number of the next attempt. Call it in the order of the stream. */
  attemptOf(sequence: number, index: number | undefined, connectionId: string): number {
    this.#last = Math.max(this.#last, sequence);
    const sent = this.#attempts.get(messageKey(sequence, index)) ?? 0;
    if (sequence > this.lastMark || this.#seen.has(connectionId)) return 1 + sent;
    this.#seen.add(connectionId);
    return 1 + sent + this.#marks.filter((mark) => sequence <= mark).length;
  }

  /** What the next owner has to know of messages that have not arrived here. */
  get rest(): Pick<LaneRecord, 'attempts' | 'left'> {
    const attempts = Array.from(this.#attempts).filter(([key]) => sequenceOf(key) > this.#last);
    const left = Array.from(this.#left).filter(([sequence]) => sequence > this.#last);
    return { attempts: new Map(attempts), left: new Map(left) };
  }
}
