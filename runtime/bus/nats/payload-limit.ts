/** The largest payload that the bus takes: what server and stream allow, less the room that is kept for headers. */

import { HydrogenError } from '../../errors.ts';
import type { Link } from './connection.ts';

/** Bytes of the server's limit that are left to headers. */
const headerBytes = 4096;

export class PayloadLimit {
  readonly #link: Link;
  readonly #streamBytes: number;

  /** @param streamBytes a message larger than the whole stream would be refused for ever, and block all behind it */
  constructor(link: Link, streamBytes: number) {
    this.#link = link;
    this.#streamBytes = streamBytes;
  }

  get bytes(): number {
    return Math.max(0, Math.min(this.#link.maxPayloadBytes, this.#streamBytes) - headerBytes);
  }

  /** @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE */
  check(payload: Uint8Array): void {
    const max = this.bytes;
    if (payload.byteLength <= max) return;
    throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', `${payload.byteLength} bytes, the bus takes ${max}`);
  }
}
