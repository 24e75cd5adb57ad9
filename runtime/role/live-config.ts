/** The configuration in force: read at each use, so that a change applies at once. */

export class LiveConfig<Value> {
  readonly #listeners: ((next: Value, previous: Value) => void)[] = [];
  #current: Value;

  constructor(initial: Value) {
    this.#current = initial;
  }

  get current(): Value {
    return this.#current;
  }

  /** Puts a value into force, then calls the listeners in the order in which they were added. */
  replace(next: Value): void {
    const previous = this.#current;
    this.#current = next;
    for (const listener of this.#listeners) listener(next, previous);
  }

  onChange(listener: (next: Value, previous: Value) => void): void {
    this.#listeners.push(listener);
  }
}
