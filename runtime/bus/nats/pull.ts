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
  /** Requests what is there now, up to so many messages. The server does not wait for more. */
  pullPresent(messages: number): void;
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
/** What one request may bring at most by default. */
const defaultMaxBytes = 16 * 1024 * 1024;
/** With these, too, a request ends as it should: it has brought its messages, or the next one would exceed its bytes. */
const completed = ['Batch Completed', 'Message Size Exceeds MaxBytes'];

/**
 * @param inbox where messages and statuses arrive
 * @param maxBytes a request ends after this many bytes, headers included; it is raised to what two messages may have
 */
export function createPuller(
  link: Link,
  stream: string,
  consumer: string,
  inbox: () => string,
  maxBytes = defaultMaxBytes,
): Puller {
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
  let requested = 0;
  let heardAtMs = 0;

  function request(messages: number, more: object): boolean {
    // Less than one message would never be answered with any.
    const max_bytes = Math.max(maxBytes, 2 * link.maxPayloadBytes);
    const body = { batch: messages, max_bytes, ...more };
    if (!link.publish(subject, Buffer.from(JSON.stringify(body)), inbox())) return false;
    if (requested === 0) heardAtMs = performance.now();
    requested += messages;
    return true;
  }

  return {
    get requested() {
      return requested;
    },
    // Rarely enough that a request covers many messages, early enough that the server need not wait for one.
    pull: (room) => {
      const free = room - requested;
      if (free <= 0 || (free <= requested && free < room / 2)) return;
      request(free, { expires: expiresMs * 1e6, idle_heartbeat: heartbeatMs * 1e6 });
    },
    pullPresent: (messages) => void request(messages, { no_wait: true }),
    onMessage: () => {
      heardAtMs = performance.now();
      if (requested > 0) requested--;
    },
    onStatus: (block) => {
      heardAtMs = performance.now();
      const status = statusCodeOf(block);
      if (status === 100) return undefined;
      requested -= Math.min(requested, Number(headerValue(block, headerNames.pendingMessages) ?? requested));
      const text = statusTextOf(block);
      if (status === 408 || status === 404 || completed.some((one) => text.startsWith(one))) return undefined;
      return `${status} ${text}`;
    },
    isSilent: (nowMs) => requested > 0 && nowMs - heardAtMs > silenceMs,
    forget: () => {
      requested = 0;
    },
  };
}
