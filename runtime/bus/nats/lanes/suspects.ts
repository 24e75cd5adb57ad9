/**
 * Holds back the messages of entries that a lost owner may have had. Of each connection one is handed out at a time, and the
 * next once it is stored, in the bucket of owners, that this one has ended. So if this process is lost as well, its
 * successor knows which message of the connection can have been sent last, as it does of messages that are stored by
 * themselves: one on which processes die becomes a dead letter, and none of those before it does.
 */

import { Fifo } from '../../../fifo.ts';
import type { LaneDelivery } from './lane-delivery.ts';

interface Line {
  readonly waiting: Fifo<LaneDelivery>;
  current: LaneDelivery | undefined;
}

export class Suspects {
  readonly #lastMark: number;
  readonly #saved: () => Promise<void>;
  readonly #handOut: (delivery: LaneDelivery) => void;
  readonly #lines = new Map<string, Line>();

  /**
   * @param lastMark the last message of the stream that a lost owner may have had
   * @param saved resolves once what is known now of the lane is stored, or the lane belongs to somebody else
   */
  constructor(lastMark: number, saved: () => Promise<void>, handOut: (delivery: LaneDelivery) => void) {
    this.#lastMark = lastMark;
    this.#saved = saved;
    this.#handOut = handOut;
  }

  /** Takes a delivery, in the order of the stream. */
  arrived(delivery: LaneDelivery): void {
    const { connectionId, index, sequence } = delivery;
    const known = this.#lines.get(connectionId);
    if (known !== undefined) {
      known.waiting.push(delivery);
    } else if (index === undefined || sequence > this.#lastMark) {
      this.#handOut(delivery);
    } else {
      const line: Line = { waiting: new Fifo(), current: undefined };
      line.waiting.push(delivery);
      this.#lines.set(connectionId, line);
      void this.#proceed(connectionId, line);
    }
  }

  ended(delivery: LaneDelivery): void {
    if (this.#lines.size === 0) return;
    const line = this.#lines.get(delivery.connectionId);
    if (line?.current === delivery) void this.#proceed(delivery.connectionId, line);
  }

  async #proceed(connectionId: string, line: Line): Promise<void> {
    await this.#saved();
    line.current = line.waiting.shift();
    if (line.current !== undefined) this.#handOut(line.current);
    if (line.current !== undefined && line.current.sequence <= this.#lastMark) return;
    this.#lines.delete(connectionId);
    for (const delivery of line.waiting.drain()) this.#handOut(delivery);
  }
}
