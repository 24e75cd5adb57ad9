/** Messages by connection id; a connection without messages takes no room. */
export class ConnectionCounts {
  readonly #counts = new Map<string, number>();

  of(connectionId: string): number {
    return this.#counts.get(connectionId) ?? 0;
  }

  add(connectionId: string, messages: number): void {
    const count = this.of(connectionId) + messages;
    if (count > 0) this.#counts.set(connectionId, count);
    else this.#counts.delete(connectionId);
  }
}
