/**
 * The attempts of messages that earlier owners of a lane left: as many as the last one said, and one for each owner that was
 * lost while the message was the first of its connection, because that is the only one which may have been sent.
 */
export class EarlierAttempts {
  readonly #sent: ReadonlyMap<number, number>;
  readonly #marks: readonly number[];
  readonly #lastMark: number;
  /** Connections of which a message was seen that a lost owner may have had. */
  readonly #seen = new Set<string>();

  /**
   * @param sent by stream sequence
   * @param marks for each owner that was lost, the last stream sequence that had been delivered to it
   */
  constructor(sent: ReadonlyMap<number, number>, marks: readonly number[]) {
    this.#sent = sent;
    this.#marks = marks;
    this.#lastMark = Math.max(0, ...marks);
  }

  /** The number of the next attempt. Call it in the order of the stream. */
  of(sequence: number, connectionId: string): number {
    const sent = this.#sent.get(sequence) ?? 0;
    if (sequence > this.#lastMark || this.#seen.has(connectionId)) return 1 + sent;
    this.#seen.add(connectionId);
    return 1 + sent + this.#marks.filter((mark) => sequence <= mark).length;
  }
}
