/**
 * Round trips to the server, which confirm that it has read what was published before them. One is under way at a time:
 * whoever asks meanwhile shares the next one, however many they are.
 */
export class Flushes {
  readonly #roundTrip: () => Promise<boolean>;
  #running: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;

  /** @param roundTrip must not reject, and must end by itself */
  constructor(roundTrip: () => Promise<boolean>) {
    this.#roundTrip = roundTrip;
  }

  /** Resolves with the result of a round trip that begins after this call. Never rejects. */
  join(): Promise<boolean> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#begin();
    this.#next = this.#running.then(() => this.#begin());
    return this.#next;
  }

  #begin(): Promise<boolean> {
    this.#next = undefined;
    const running = this.#roundTrip().then((isConfirmed) => {
      this.#running = undefined;
      return isConfirmed;
    });
    this.#running = running;
    return running;
  }
}
