/**
 * Keeps one durable consumer asked for messages: pull requests of as many as there is room for, repeated when they
 * expire, and forgotten when the server shows no sign of life. It counts what was asked for and has not come; the
 * server says at the end of a request how much of it is left.
 */

import type { Link } from './connection.ts';
import { headerNames, headerValue, statusCodeOf, statusTextOf } from './wire.ts';

export interface Puller {
  /** Messages asked for that have not come. */
  readonly requested: number;
  /** Asks for more when it is worth it. @param room how many may be open besides those that are */
  pull(room: number): void;
  /** A message of this consumer came. */
  count(): void;
  /**
   * What the server says about a request.
   * @returns whether the consumer is gone and has to be looked after, with the reason
   */
  hear(block: string): string | undefined;
  /** Called about once a second: true when the server has been silent for too long and everything asked for is void. */
  isSilent(nowMs: number): boolean;
  /** Nothing that was asked for will come. */
  forget(): void;
}

const expiresMs = 30_000;
const heartbeatMs = 5000;
const silenceMs = 2.5 * heartbeatMs;

/** @param inbox where messages and what is said about requests arrive */
export function createPuller(link: Link, stream: string, consumer: string, inbox: () => string): Puller {
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
  let requested = 0;
  let heardAtMs = 0;

  return {
    get requested() {
      return requested;
    },
    // Rarely enough that a request covers many messages, early enough that the server need not wait for one.
    pull: (room) => {
      const free = room - requested;
      if (free <= 0 || (free <= requested && free < room / 2)) return;
      const body = { batch: free, expires: expiresMs * 1e6, idle_heartbeat: heartbeatMs * 1e6 };
      if (!link.publish(subject, Buffer.from(JSON.stringify(body)), inbox())) return;
      if (requested === 0) heardAtMs = performance.now();
      requested += free;
    },
    count: () => {
      heardAtMs = performance.now();
      if (requested > 0) requested--;
    },
    hear: (block) => {
      heardAtMs = performance.now();
      const status = statusCodeOf(block);
      if (status === 100) return undefined;
      requested -= Math.min(requested, Number(headerValue(block, headerNames.pendingMessages) ?? requested));
      if (status === 408 || status === 404) return undefined;
      return `${status} ${statusTextOf(block)}`;
    },
    isSilent: (nowMs) => requested > 0 && nowMs - heardAtMs > silenceMs,
    forget: () => {
      requested = 0;
    },
  };
}
