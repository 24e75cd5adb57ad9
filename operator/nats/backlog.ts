/**
 * Messages that wait for the destinations of one message processor. A message may wait for a moment, for its next attempt,
 * say; what counts is a waiting room that held something at two queries in a row.
 */

export class DestinationBacklog {
  #last: ReadonlyMap<string, number> = new Map();
  #waiting: ReadonlyMap<string, number> = new Map();

  /** The latest number of each room that held messages at the last two queries. */
  get waiting(): ReadonlyMap<string, number> {
    return this.#waiting;
  }

  /** @param found messages in each room that holds any. @returns true if `waiting` has changed */
  observe(found: ReadonlyMap<string, number>): boolean {
    const before = this.#waiting;
    const lasting = [...found].filter(([room, messages]) => messages > 0 && (this.#last.get(room) ?? 0) > 0);
    this.#last = found;
    this.#waiting = new Map(lasting);
    return before.size !== lasting.length || lasting.some(([room, messages]) => before.get(room) !== messages);
  }
}
