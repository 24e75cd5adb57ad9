/**
 * A token bucket per connection, with room for one second's worth. A client over its rate is held until it is within it
 * again: TCP slows it down and nothing is lost.
 */

import type { Connection } from './connection.ts';
import { holds } from './inbox.ts';
import type { LiveSocketPolicy } from './policy.ts';

export class Throttle {
  readonly #connection: Connection;
  readonly #policy: LiveSocketPolicy;
  #tokens = Number.POSITIVE_INFINITY;
  #refilledAtMs = 0;
  #isWaiting = false;

  constructor(connection: Connection, policy: LiveSocketPolicy) {
    this.#connection = connection;
    this.#policy = policy;
  }

  /** Call it for each message that is handed over. */
  take(): void {
    const perSecond = this.#policy.current.limits.messagesPerSecond;
    if (perSecond <= 0) return;
    this.#refill(perSecond);
    this.#tokens -= 1;
    if (this.#tokens >= 0 || this.#isWaiting) return;
    this.#connection.hold(holds.rate);
    this.#wait(perSecond);
  }

  #refill(perSecond: number): void {
    const nowMs = performance.now();
    this.#tokens = Math.min(perSecond, this.#tokens + ((nowMs - this.#refilledAtMs) * perSecond) / 1000);
    this.#refilledAtMs = nowMs;
  }

  #wait(perSecond: number): void {
    this.#isWaiting = true;
    setTimeout(() => this.#resume(), Math.ceil((-this.#tokens * 1000) / perSecond)).unref();
  }

  #resume(): void {
    const perSecond = this.#policy.current.limits.messagesPerSecond;
    this.#refill(Math.max(perSecond, 0));
    if (perSecond > 0 && this.#tokens < 0) {
      this.#wait(perSecond);
      return;
    }
    this.#isWaiting = false;
    this.#connection.release(holds.rate);
  }
}
