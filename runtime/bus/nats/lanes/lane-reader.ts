/** Reads what the server delivers to lanes, and ends what is no message for this processor. */

import type { Msg } from 'nats';
import { HydrogenError } from '../../../errors.ts';
import type { Acks } from '../acks.ts';
import type { ConsumptionSource } from '../consumption-source.ts';
import type { NatsCore } from '../core.ts';
import type { NatsDelivery } from '../delivery.ts';
import { EntrySizes } from '../entry-sizes.ts';
import type { AckSubject } from '../wire.ts';

const unreadable = Buffer.from('+TERM unreadable');
const acked = Buffer.from('+ACK');

export class LaneReader {
  /** Of the messages of the stream that it has read. */
  readonly sizes = new EntrySizes(1);
  readonly #core: NatsCore;
  readonly #acks: Acks;
  readonly #source: ConsumptionSource;
  readonly #report: (problem: HydrogenError) => void;

  constructor(core: NatsCore, acks: Acks, source: ConsumptionSource, report: (problem: HydrogenError) => void) {
    this.#core = core;
    this.#acks = acks;
    this.#source = source;
    this.#report = report;
  }

  /** @returns none when it is for another consumer; undefined when no hydrogen wrote it */
  read(msg: Msg, ack: AckSubject, reply: string, block: string): readonly NatsDelivery[] | undefined {
    const owner = { acks: this.#acks, ended: () => {}, again: () => false };
    const read = this.#source.read(msg, ack, reply, block, owner);
    if (read instanceof HydrogenError) {
      this.#acks.end(reply, unreadable);
      this.#report(read);
      return undefined;
    }
    if (read.length === 0) this.#acks.end(reply, acked);
    else {
      this.sizes.observe(read.length);
      this.#core.entrySizes.observe(read.length);
    }
    return read;
  }
}
