/**
 * The largest payload that the bus accepts: the smaller of the limits of server and stream, less the room reserved for
 * headers.
 */

import { HydrogenError } from '../../errors.ts';
import type { Link } from './connection.ts';

/** Bytes reserved for headers. */
export const headerBytes = 4096;

export class PayloadLimit {
  readonly #link: Link;
  readonly #streamBytes: number;

  /** @param streamBytes size of the stream: a larger message would be refused forever and block everything behind it */
  constructor(link: Link, streamBytes: number) {
    this.#link = link;
    this.#streamBytes = streamBytes;
  }

  get bytes(): number {
    return Math.max(0, Math.min(this.#link.maxPayloadBytes, this.#streamBytes) - headerBytes);
  }

  /** Bytes of an entry above which it gets no further message: a large one needs much room in the stream at once. */
  get entryBytes(): number {
    return Math.min(this.bytes, this.#streamBytes / 16);
  }

  /** @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE */
  check(payload: Uint8Array): void {
    const max = this.bytes;
    if (payload.byteLength <= max) return;
    throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', `${payload.byteLength} bytes, the bus accepts ${max}`);
  }
}
