/**
 * The reading side of a connection: hands its messages over in order, or holds it. A held connection is not read from,
 * so that TCP slows its client down. What one read brought beyond the message that led to the hold waits in a backlog.
 */

import { Backlog } from './backlog.ts';
import type { ClientSocket } from './client-socket.ts';

/** Why a connection is held: bits, so that reasons come and go independently. */
export const holds = {
  /** The bus is pressed. */
  bus: 1,
  /** The bus has not acknowledged enough of what this connection sent. */
  unacknowledged: 2,
  /** It exceeds `limits.messagesPerSecond`. */
  rate: 4,
  /** Its end is decided, and its close frame is written once everything that was read is stored. */
  ending: 8,
  /** No message processor consumes its endpoint. */
  consumer: 16,
  /** `limits.maxStoredPerConnection` of its messages are stored and not consumed. */
  stored: 32,
} as const;

export type HoldReason = keyof typeof holds;

/** Reasons for which messages that were read wait too. An ending connection is not read from, but its messages go on. */
const waitingHolds = ~holds.ending;

export class Inbox {
  readonly #backlog = new Backlog();
  #handOver: (data: Buffer, isBinary: boolean) => void = () => {};
  /** Undefined before the connection is open, and once nothing more is read for it or nothing holds it any more. */
  #socket: ClientSocket | undefined;
  #holds = 0;
  /** True once the client can send no more: the rest is read, whatever holds the connection. */
  #hasLeft = false;

  /** The reasons for which it is held. */
  get holds(): number {
    return this.#holds;
  }

  /** Messages that were read and not handed over. */
  get waiting(): number {
    return this.#backlog.length;
  }

  /** Bytes that waiting messages take. */
  get keptBytes(): number {
    return this.#backlog.keptBytes;
  }

  get isHeld(): boolean {
    return this.#holds !== 0 || this.#backlog.length > 0;
  }

  /** @param handOver called with each message, in the client's order */
  open(socket: ClientSocket, handOver: (data: Buffer, isBinary: boolean) => void): void {
    this.#socket = socket;
    this.#handOver = handOver;
    if (this.#holds !== 0) socket.pause();
  }

  /** Takes a message that was read. */
  receive(data: Buffer, isBinary: boolean): void {
    if (this.#backlog.length === 0 && (this.#holds & waitingHolds) === 0) this.#handOver(data, isBinary);
    else this.#backlog.push(data, isBinary);
  }

  /** @param reasons bits of `holds`; none: nothing changes */
  hold(reasons: number): void {
    if (reasons !== 0 && !this.isHeld && !this.#hasLeft) this.#socket?.pause();
    this.#holds |= reasons;
  }

  /** Hands over what may go now; reads on when nothing holds it. Returns false when it was not held for any of these. */
  release(reasons: number): boolean {
    if ((this.#holds & reasons) === 0) return false;
    this.#holds &= ~reasons;
    while (this.#backlog.length > 0 && (this.#holds & waitingHolds) === 0) this.#backlog.shift(this.#handOver);
    if (!this.isHeld) this.#socket?.resume();
    return true;
  }

  /** Reads what the system still has of a client that has left, so that its end is found; messages wait as before. */
  readRest(): void {
    this.#hasLeft = true;
    this.#socket?.resume();
  }

  /** Parses what this process has read of a held socket already; nothing more is read. */
  parseRead(): void {
    this.#socket?.parseRead();
  }

  /** Nothing more will be read; what waits is still handed over. */
  end(): void {
    this.#socket = undefined;
  }

  /** Throws away what waits, and reads the rest, so that the client's answer to a close frame is found behind it. */
  discard(): void {
    this.#backlog.clear();
    this.#socket?.resume();
    this.#socket = undefined;
  }
}
