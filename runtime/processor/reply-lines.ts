/**
 * Replies to clients. Those of one connection reach it in the order of its messages: while one is on its way, the next
 * ones wait, and then go together. The messages of the connection do not wait for them, unless many replies do.
 */

import { Fifo } from '../fifo.ts';
import type { ReplyOutcome } from '../role/events.ts';

/** Sends a reply to a client of the group. Never rejects. */
export type PushReply = (connectionId: string, data: Uint8Array, isBinary: boolean) => Promise<ReplyOutcome>;

interface WaitingReply {
  readonly data: Uint8Array;
  readonly isBinary: boolean;
  readonly settle: (outcome: ReplyOutcome) => void;
}

/** The replies of one connection that have no outcome yet. */
interface ReplyLine {
  readonly waiting: Fifo<WaitingReply>;
  replies: number;
  bytes: number;
  onWay: number;
}

/** Replies and bytes without an outcome above which a connection's next message waits, and bytes of all connections. */
const maxReplies = 64;
const maxBytes = 1024 * 1024;
const maxBytesOfAll = 32 * 1024 * 1024;

export class ReplyLines {
  readonly #push: PushReply;
  readonly #lines = new Map<string, ReplyLine>();
  #bytes = 0;
  #onIdle: (() => void)[] = [];

  constructor(push: PushReply) {
    this.#push = push;
  }

  /**
   * @param onOutcome called once
   * @returns undefined when the connection may go on; else what resolves, and never rejects, with the outcome of this reply
   */
  send(
    connectionId: string,
    data: Uint8Array,
    isBinary: boolean,
    onOutcome: (outcome: ReplyOutcome) => void,
  ): Promise<void> | undefined {
    const line = this.#lineOf(connectionId);
    line.replies += 1;
    line.bytes += data.byteLength;
    this.#bytes += data.byteLength;
    const isMuch = line.replies >= maxReplies || line.bytes >= maxBytes || this.#bytes >= maxBytesOfAll;
    let goOn: (() => void) | undefined;
    const settled = isMuch ? new Promise<void>((resolve) => (goOn = resolve)) : undefined;
    const settle = (outcome: ReplyOutcome): void => {
      onOutcome(outcome);
      goOn?.();
    };
    line.waiting.push({ data, isBinary, settle });
    if (line.onWay === 0) this.#sendAll(connectionId, line);
    return settled;
  }

  /** Resolves once every reply has its outcome. */
  idle(): Promise<void> {
    if (this.#lines.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #lineOf(connectionId: string): ReplyLine {
    const known = this.#lines.get(connectionId);
    if (known !== undefined) return known;
    const line: ReplyLine = { waiting: new Fifo(), replies: 0, bytes: 0, onWay: 0 };
    this.#lines.set(connectionId, line);
    return line;
  }

  #sendAll(connectionId: string, line: ReplyLine): void {
    for (const reply of line.waiting.drain()) {
      line.onWay += 1;
      const { data, isBinary, settle } = reply;
      void this.#push(connectionId, data, isBinary).then((outcome) => {
        this.#settled(connectionId, line, data.byteLength);
        settle(outcome);
      });
    }
  }

  #settled(connectionId: string, line: ReplyLine, bytes: number): void {
    line.onWay -= 1;
    line.replies -= 1;
    line.bytes -= bytes;
    this.#bytes -= bytes;
    if (line.onWay > 0) return;
    if (line.replies > 0) {
      this.#sendAll(connectionId, line);
      return;
    }
    this.#lines.delete(connectionId);
    if (this.#lines.size > 0) return;
    for (const resolve of this.#onIdle) resolve();
    this.#onIdle = [];
  }
}
