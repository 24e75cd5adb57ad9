/** Acknowledgements of deliveries. A delivery can be ended after the connection that it arrived on was lost. */

import type { Link } from './connection.ts';

/** Acknowledgements kept while the link is down; messages beyond that are delivered again. */
const maxKept = 65_536;

export class Acks {
  readonly #link: Link;
  #kept: (readonly [reply: string, payload: Uint8Array])[] = [];

  constructor(link: Link) {
    this.#link = link;
    link.onStatus((status) => {
      if (status !== 'up') return;
      const kept = this.#kept;
      this.#kept = [];
      for (const [reply, payload] of kept) link.publish(reply, payload);
    });
  }

  /** Ends a delivery, now or once the link is up again. */
  end(reply: string, payload: Uint8Array): void {
    if (this.#link.publish(reply, payload) || this.#link.status === 'stopped') return;
    if (this.#kept.length < maxKept) this.#kept.push([reply, payload]);
  }

  /** Restarts the acknowledgement time-out; does nothing while the link is down. */
  working(reply: string, payload: Uint8Array): void {
    this.#link.publish(reply, payload);
  }
}
