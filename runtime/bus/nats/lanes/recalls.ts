/**
 * Payloads that were forgotten while their messages waited, read again from the stream. An entry is read whole, and those of
 * its messages that follow on the same connection are needed next, so the last few entries are kept.
 */

import type { NatsCore } from '../core.ts';
import { decodeEntry } from '../entry.ts';
import { isRefused, jetStreamCodes } from '../requests.ts';
import type { LaneOfDelivery } from './lane-delivery.ts';

/** What `STREAM.MSG.GET` answers with; the header block and the payload in base64. */
interface StoredMessage {
  readonly subject: string;
  readonly hdrs?: string;
  readonly data?: string;
}

type Payload = Awaited<ReturnType<LaneOfDelivery['read']>>;
/** Of a message of the stream, in order; a single one unless it is an entry. */
type Payloads = readonly Uint8Array[] | Extract<Payload, string>;

/** Messages of the stream that are kept: about 128 KiB each. */
const maxKept = 32;

export class Recalls {
  readonly #core: NatsCore;
  /** By sequence, what is being read or was read last. */
  readonly #kept = new Map<number, Promise<Payloads>>();

  constructor(core: NatsCore) {
    this.#core = core;
  }

  /** @param index its place in an entry; undefined: it is stored by itself */
  async payload(sequence: number, index: number | undefined): Promise<Payload> {
    const known = this.#kept.get(sequence);
    const reading = known ?? this.#read(sequence);
    this.#kept.delete(sequence);
    this.#kept.set(sequence, reading);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > maxKept && oldest !== undefined) this.#kept.delete(oldest);
    const payloads = await reading;
    if (typeof payloads === 'string') {
      if (this.#kept.get(sequence) === reading) this.#kept.delete(sequence);
      return payloads;
    }
    return payloads[index ?? 0] ?? 'gone';
  }

  async #read(sequence: number): Promise<Payloads> {
    const { requests, subjects } = this.#core;
    const name = `STREAM.MSG.GET.${subjects.stream}`;
    try {
      const { message } = await requests.api<{ message: StoredMessage }>(name, { seq: sequence });
      const data = Buffer.from(message.data ?? '', 'base64');
      const entry = subjects.parseEntry(message.subject);
      if (entry === undefined) return [data];
      const block = Buffer.from(message.hdrs ?? '', 'base64').toString('latin1');
      return decodeEntry(block, data, entry)?.map(({ payload }) => payload) ?? 'gone';
    } catch (err) {
      // The stream itself may be made again meanwhile: then its consumers are, too, and the lane is lost.
      return isRefused(err, jetStreamCodes.messageNotFound) ? 'gone' : 'unavailable';
    }
  }
}
