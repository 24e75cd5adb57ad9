/**
 * Client messages that were parsed and may not be handed over yet. One read of a socket can hold ten thousand of them,
 * so a waiting message is no object: it is kept as its place in the memory that it was read into.
 */

import { Fifo } from '../fifo.ts';

/** Memory that a socket was read into, and how many of the waiting messages are in it. */
interface Slab {
  readonly memory: ArrayBufferLike;
  messages: number;
}

/** Two numbers. */
const placeBytes = 16;

export class Backlog {
  readonly #slabs = new Fifo<Slab>();
  /** Two numbers for each message: where it begins in its slab; and twice its length, plus one when it is binary. */
  readonly #places = new Fifo<number>();
  #newest: Slab | undefined;
  #length = 0;
  #keptBytes = 0;

  /** The memory that waiting messages are in, and what it takes to find them. */
  get keptBytes(): number {
    return this.#keptBytes + this.#length * placeBytes;
  }

  /** Messages that wait. */
  get length(): number {
    return this.#length;
  }

  /** The memory of `data` must not be changed afterwards. */
  push(data: Buffer, isBinary: boolean): void {
    let slab = this.#newest;
    // Empty messages come with an empty buffer of their own, which is not worth a slab.
    if (slab === undefined || (slab.memory !== data.buffer && data.length > 0)) {
      slab = { memory: data.buffer, messages: 0 };
      this.#newest = slab;
      this.#slabs.push(slab);
      this.#keptBytes += slab.memory.byteLength;
    }
    slab.messages += 1;
    this.#places.push(data.length === 0 ? 0 : data.byteOffset);
    this.#places.push(data.length * 2 + (isBinary ? 1 : 0));
    this.#length += 1;
  }

  /** Removes the oldest message and passes it on. Does nothing when none waits. */
  shift(take: (data: Buffer, isBinary: boolean) => void): void {
    const slab = this.#slabs.peek();
    const offset = this.#places.shift();
    const kind = this.#places.shift();
    if (slab === undefined || offset === undefined || kind === undefined) return;
    this.#length -= 1;
    slab.messages -= 1;
    if (slab.messages === 0) {
      this.#slabs.shift();
      this.#keptBytes -= slab.memory.byteLength;
      if (slab === this.#newest) this.#newest = undefined;
    }
    const isBinary = kind % 2 === 1;
    take(Buffer.from(slab.memory, offset, (kind - (isBinary ? 1 : 0)) / 2), isBinary);
  }

  clear(): void {
    this.#slabs.drain();
    this.#places.drain();
    this.#newest = undefined;
    this.#length = 0;
    this.#keptBytes = 0;
  }
}
