/**
 * A token bucket per connection, one second's worth deep. A client over its rate is not read from until it is within
 * it again: TCP slows it down and nothing is lost.
 */

import { type Connection, holds } from './connection.ts';

/** @param rate messages per second, read at each message; 0 or less: no limit. @returns to be called per message. */
export function createThrottle(connection: Connection, rate: () => number): () => void {
  let tokens = Number.POSITIVE_INFINITY;
  let refilledAtMs = 0;
  let isWaiting = false;

  function refill(perSecond: number): void {
    const nowMs = performance.now();
    tokens = Math.min(perSecond, tokens + ((nowMs - refilledAtMs) * perSecond) / 1000);
    refilledAtMs = nowMs;
  }

  function wait(perSecond: number): void {
    isWaiting = true;
    setTimeout(resume, Math.ceil((-tokens * 1000) / perSecond)).unref();
  }

  function resume(): void {
    const perSecond = rate();
    refill(Math.max(perSecond, 0));
    if (perSecond > 0 && tokens < 0) {
      wait(perSecond);
      return;
    }
    isWaiting = false;
    connection.release(holds.rate);
  }

  return () => {
    const perSecond = rate();
    if (perSecond <= 0) return;
    refill(perSecond);
    tokens -= 1;
    if (tokens >= 0 || isWaiting) return;
    connection.hold(holds.rate);
    wait(perSecond);
  };
}
