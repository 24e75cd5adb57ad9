/**
 * Why NATS cannot be reached. It is tried every other second, each time at another address, which may fail in its own way: what
 * is told is all that has been seen of late, and again only when there is something new, or once a minute in the log.
 */
import { messageOf } from '../kube/errors.ts';

export interface Failure {
  /** What attempts fail with; undefined: none has failed since the last connection. */
  readonly last: string | undefined;
  /** An attempt has failed. @param detail the address that was tried */
  add(detail: string, cause: unknown): void;
  /** There is a connection. */
  forget(): void;
}

export interface FailureOptions {
  /** To be logged. */
  readonly onTell: (detail: string) => void;
  /** `last` is another one than before. */
  readonly onOther: () => void;
}

/** How long a reason counts that has not come up again. */
const lifeMs = 30_000;
const repeatMs = 60_000;
const mostReasons = 5;

/** @param servers the addresses, of which each attempt tries another */
export function createFailure(servers: readonly string[], { onTell, onOther }: FailureOptions): Failure {
  const seenMs = new Map<string, number>();
  let last: string | undefined;
  let toldMs = 0;
  return {
    get last() {
      return last;
    },
    add: (detail, cause) => {
      const reason = cause === undefined ? 'no answer' : messageOf(cause);
      const nowMs = performance.now();
      const isNew = !seenMs.has(reason) && seenMs.size < mostReasons;
      if (isNew || seenMs.has(reason)) seenMs.set(reason, nowMs);
      for (const [one, atMs] of seenMs) if (nowMs - atMs > lifeMs) seenMs.delete(one);
      const before = last;
      last = `${servers.join(', ')}: ${[...seenMs.keys()].join('; ')}`;
      if (isNew || nowMs - toldMs >= repeatMs) {
        toldMs = nowMs;
        onTell(`${detail}: ${reason}`);
      }
      if (last !== before) onOther();
    },
    forget: () => {
      seenMs.clear();
      last = undefined;
    },
  };
}
