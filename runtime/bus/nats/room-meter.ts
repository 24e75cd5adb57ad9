/**
 * Whether a waiting room has taken its share of the stream. JetStream counts messages per consumer and bytes per stream
 * only, so the bytes of a room are an estimate: its messages, asked for at most once a second while it is parked in, times
 * the mean size of what this process has parked there.
 */

const refreshMs = 1000;
/** What JetStream stores with each message, besides subject, headers and payload. */
const overheadBytes = 30;

export class RoomMeter {
  readonly #maxBytes: number;
  readonly #count: () => Promise<number | undefined>;
  #messages = 0;
  #parked = 0;
  #parkedBytes = 0;
  /** In `performance.now()`. */
  #countedAtMs = Number.NEGATIVE_INFINITY;

  /** @param count messages in the room; undefined while it can't be known. It must not reject */
  constructor(maxBytes: number, count: () => Promise<number | undefined>) {
    this.#maxBytes = maxBytes;
    this.#count = count;
  }

  /** Answers from what is known, and refreshes it when it is old. */
  isFull(): boolean {
    if (performance.now() - this.#countedAtMs >= refreshMs) void this.#refresh();
    return this.#parked > 0 && this.#messages * (this.#parkedBytes / this.#parked) >= this.#maxBytes;
  }

  /** A message is about to be parked. A failure is corrected when the messages are next counted. */
  add(bytes: number): void {
    this.#messages++;
    this.#parked++;
    this.#parkedBytes += bytes + overheadBytes;
  }

  async #refresh(): Promise<void> {
    this.#countedAtMs = performance.now();
    const parkedBefore = this.#parked;
    const messages = await this.#count();
    if (messages !== undefined) this.#messages = messages + this.#parked - parkedBefore;
  }
}
