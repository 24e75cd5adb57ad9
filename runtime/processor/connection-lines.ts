/** Deliveries of one connection start one after another, in the order in which they arrived. */

import type { OpenDelivery } from './open-delivery.ts';

export class ConnectionLines {
  /** The last delivery of each connection that has any. */
  readonly #lasts = new Map<string, OpenDelivery>();

  /** Deliveries of a connection. */
  length(connectionId: string): number {
    return this.#lasts.get(connectionId)?.line ?? 0;
  }

  /** @returns the number of deliveries of its connection, itself included: 1 when it is first */
  enter(open: OpenDelivery): number {
    const { connectionId } = open.delivery;
    const last = this.#lasts.get(connectionId);
    this.#lasts.set(connectionId, open);
    if (last === undefined) return 1;
    last.next = open;
    open.line = last.line + 1;
    return open.line;
  }

  /** Takes the first delivery of a connection out. @returns its successor, which is now first */
  leave(first: OpenDelivery): OpenDelivery | undefined {
    const { connectionId } = first.delivery;
    const { next } = first;
    first.next = undefined;
    const last = this.#lasts.get(connectionId);
    if (next === undefined || last === undefined) this.#lasts.delete(connectionId);
    else last.line -= 1;
    return next;
  }

  /** Takes out whole lines, except for a first delivery that is not among them. @param all those in lines, in order of arrival */
  remove(gone: ReadonlySet<OpenDelivery>, all: Iterable<OpenDelivery>): void {
    for (const { delivery } of gone) this.#lasts.delete(delivery.connectionId);
    const cut = new Set(Array.from(gone, ({ delivery }) => delivery.connectionId));
    for (const first of all) {
      const { connectionId } = first.delivery;
      if (gone.has(first) || !cut.has(connectionId) || this.#lasts.has(connectionId)) continue;
      first.next = undefined;
      first.line = 1;
      this.#lasts.set(connectionId, first);
    }
  }

  /** Forgets every delivery that is behind another. @param firsts the others */
  cut(firsts: Iterable<OpenDelivery>): void {
    this.#lasts.clear();
    for (const first of firsts) {
      first.next = undefined;
      first.line = 1;
      this.#lasts.set(first.delivery.connectionId, first);
    }
  }
}
