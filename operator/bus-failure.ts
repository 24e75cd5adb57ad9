/** Why NATS cannot be reached. It is tried every other second: the log is told when the reason changes, and once a minute. */
import { messageOf } from './errors.ts';

export interface Failure {
  /** What the last attempt failed with; undefined: none has failed since the last connection. */
  readonly last: string | undefined;
  /** An attempt has failed. @param detail the address that was tried */
  add(detail: string, cause: unknown): void;
  /** There is a connection. */
  forget(): void;
}

export interface FailureOptions {
  /** To be logged. */
  readonly onTell: (detail: string) => void;
  /** The reason is another one than before. */
  readonly onOther: () => void;
}

const repeatMs = 60_000;

/** @param servers the addresses, of which each attempt tries another */
export function createFailure(servers: readonly string[], { onTell, onOther }: FailureOptions): Failure {
  let last: string | undefined;
  let toldMs = 0;
  return {
    get last() {
      return last;
    },
    add: (detail, cause) => {
      const reason = cause === undefined ? '' : `: ${messageOf(cause)}`;
      const isOther = last !== servers.join(', ') + reason;
      last = servers.join(', ') + reason;
      if (isOther || performance.now() - toldMs >= repeatMs) {
        toldMs = performance.now();
        onTell(detail + reason);
      }
      if (isOther) onOther();
    },
    forget: () => {
      last = undefined;
    },
  };
}
