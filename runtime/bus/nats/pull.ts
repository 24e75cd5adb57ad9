/**
 * Pull requests to one durable consumer: for as many messages as there is room for, repeated when they expire, and
 * forgotten when the server falls silent. It counts the messages that were requested and have not arrived; at the end
 * of a request the server says how many of its messages are left.
 */

import type { Link } from './connection.ts';
import { headerNames, headerValue, statusCodeOf, statusTextOf } from './wire.ts';

export interface Puller {
  /** Messages that were requested and have not arrived. */
  readonly requested: number;
  /**
   * Requests more messages when there is room for enough to be worth a request.
   * @param room how many more deliveries may be open
   */
  pull(room: number): void;
  /** A message of this consumer arrived. */
  onMessage(): void;
  /**
   * The server sent a status about a request.
   * @returns why the consumer must be set up again; undefined when it need not be
   */
  onStatus(block: string): string | undefined;
  /** True when the server has been silent for so long that every request counts as lost. */
  isSilent(nowMs: number): boolean;
  /** Treats every request as void. */
  forget(): void;
}

const expiresMs = 30_000;
const heartbeatMs = 5000;
const silenceMs = 2.5 * heartbeatMs;

/** What the server says when the next message is larger than what is left of `maxBytes`. */
const tooLarge = 'Message Size Exceeds';
/** What it says at the end of a request with `maxBytes`. */
const completed = 'Batch Completed';

/**
 * @param inbox where messages and statuses arrive
 * @param maxBytes a request ends after this many bytes, headers included; a message that is larger comes alone
 */
export function createPuller(
  link: Link,
  stream: string,
  consumer: string,
  inbox: () => string,
  maxBytes?: number,
): Puller {
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
  let requested = 0;
  let heardAtMs = 0;
  let isNextLarge = false;

  return {
    get requested() {
      return requested;
    },
    // Rarely enough that a request covers many messages, early enough that the server need not wait for one.
    pull: (room) => {
      const free = isNextLarge ? Math.min(1, room - requested) : room - requested;
      if (free <= 0 || (free <= requested && free < room / 2)) return;
      const limits = { batch: free, ...(maxBytes !== undefined && !isNextLarge && { max_bytes: maxBytes }) };
      const body = { ...limits, expires: expiresMs * 1e6, idle_heartbeat: heartbeatMs * 1e6 };
      if (!link.publish(subject, Buffer.from(JSON.stringify(body)), inbox())) return;
      if (requested === 0) heardAtMs = performance.now();
      requested += free;
    },
    onMessage: () => {
      heardAtMs = performance.now();
      isNextLarge = false;
      if (requested > 0) requested--;
    },
    onStatus: (block) => {
      heardAtMs = performance.now();
      const status = statusCodeOf(block);
      if (status === 100) return undefined;
      requested -= Math.min(requested, Number(headerValue(block, headerNames.pendingMessages) ?? requested));
      if (status === 408 || status === 404) return undefined;
      if (status === 409 && statusTextOf(block).startsWith(completed)) return undefined;
      if (status === 409 && statusTextOf(block).startsWith(tooLarge)) {
        isNextLarge = true;
        return undefined;
      }
      return `${status} ${statusTextOf(block)}`;
    },
    isSilent: (nowMs) => requested > 0 && nowMs - heardAtMs > silenceMs,
    forget: () => {
      requested = 0;
    },
  };
}
