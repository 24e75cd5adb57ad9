/**
 * Why NATS cannot be reached. An attempt is made about every two seconds, each time at another address, and each address may
 * fail in its own way. So the reason lists every failure of the last half minute. New failures are logged, and one a minute.
 */
import { messageOf } from '../kube/errors.ts';

export interface FailureOptions {
  /** Called with a failure that is worth a log line. */
  readonly onNews: (detail: string) => void;
  /** Called when `last` has changed. */
  readonly onChange: () => void;
}

/** How long a reason counts if it does not occur again. */
const lifeMs = 30_000;
const repeatMs = 60_000;
const mostReasons = 5;
const longestReason = 500;

export class ConnectFailure {
  readonly #servers: readonly string[];
  readonly #options: FailureOptions;
  readonly #seenMs = new Map<string, number>();
  #last: string | undefined;
  #loggedMs = 0;

  /** @param servers the addresses, of which each attempt tries another */
  constructor(servers: readonly string[], options: FailureOptions) {
    this.#servers = servers;
    this.#options = options;
  }

  /** The reasons why attempts fail; undefined: none has failed since the last connection. */
  get last(): string | undefined {
    return this.#last;
  }

  /** Records a failed attempt. @param detail the address that was tried */
  add(detail: string, cause: unknown): void {
    const reason = cause === undefined ? 'no answer' : messageOf(cause).slice(0, longestReason);
    const nowMs = performance.now();
    const isNew = !this.#seenMs.has(reason) && this.#seenMs.size < mostReasons;
    if (isNew || this.#seenMs.has(reason)) this.#seenMs.set(reason, nowMs);
    for (const [one, atMs] of this.#seenMs) if (nowMs - atMs > lifeMs) this.#seenMs.delete(one);
    const before = this.#last;
    this.#last = `${this.#servers.join(', ')}: ${[...this.#seenMs.keys()].join('; ')}`;
    if (isNew || nowMs - this.#loggedMs >= repeatMs) {
      this.#loggedMs = nowMs;
      this.#options.onNews(`${detail}: ${reason}`);
    }
    if (this.#last !== before) this.#options.onChange();
  }

  /** Forgets all failures: there is a connection. */
  clear(): void {
    this.#seenMs.clear();
    this.#last = undefined;
  }
}
