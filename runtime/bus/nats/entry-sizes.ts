/**
 * How many client messages an entry holds, by a moving mean of the entries that this process has read. The server counts
 * entries; this turns its counts into messages.
 */

/** Messages in an entry while none has been seen. */
export const firstMean = 8;
const weight = 0.1;

export class EntrySizes {
  #mean: number;
  #hasSeen = false;

  /** @param mean what counts until an entry was read */
  constructor(mean = firstMean) {
    this.#mean = mean;
  }

  observe(messages: number): void {
    this.#mean = this.#hasSeen ? this.#mean + weight * (messages - this.#mean) : messages;
    this.#hasSeen = true;
  }

  /** Undefined while no entry has been read. */
  get mean(): number | undefined {
    return this.#hasSeen ? this.#mean : undefined;
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
