/**
 * How many client messages an entry holds, by a moving mean of the entries that this replica has read. The server counts
 * entries; this turns its counts into messages.
 */

const weight = 0.1;

export class EntrySizes {
  #mean: number;
  #hasSeen = false;

  /** @param firstMean what counts until an entry was read */
  constructor(firstMean: number) {
    this.#mean = firstMean;
  }

  observe(messages: number): void {
    this.#mean = this.#hasSeen ? this.#mean + weight * (messages - this.#mean) : messages;
    this.#hasSeen = true;
  }

  /** Messages in so many entries. */
  messagesIn(entries: number): number {
    return Math.round(entries * this.#mean);
  }

  /** Entries that bring about so many messages; at least one for any. */
  entriesFor(messages: number): number {
    return messages <= 0 ? 0 : Math.max(1, Math.floor(messages / this.#mean));
  }
}
