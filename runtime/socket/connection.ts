/**
 * One client connection: from the moment its upgrade was admitted (`opening`: it can already be pushed to) until its
 * socket is gone. Owns back-pressure in both directions: `hold` stops reading from the client, `send` refuses to buffer
 * more than `maxBufferedBytes` for it.
 */

import type { WebSocket } from 'ws';
import { closeCodes, fitCloseReason } from '../close.ts';
import type { ErrorCode } from '../errors.ts';
import type { LiveSocketPolicy } from './policy.ts';

/** Why reading from a client is held: bits, so that reasons come and go independently. */
export const holds = { bus: 1, unacknowledged: 2, rate: 4, drain: 8 } as const;

export type ConnectionState = 'opening' | 'open' | 'closing' | 'closed';

/** `sent`: written to the socket. `accepted`: kept until the connection opens. `full`: it would exceed `maxBufferedBytes`. */
export type SendResult = 'sent' | 'accepted' | 'gone' | 'full';

/** How a connection ended. */
export interface Closure {
  readonly closeCode: number;
  readonly reason: string;
  /** Who began it. */
  readonly by: 'client' | 'service' | 'gateway' | 'network';
  /** Set if the gateway closed it for a reason of the error table. */
  readonly code?: ErrorCode;
}

export interface ConnectionInit {
  readonly id: string;
  readonly endpoint: string;
  readonly remoteAddress: string;
  readonly policy: LiveSocketPolicy;
}

export class Connection {
  readonly id: string;
  readonly endpoint: string;
  readonly remoteAddress: string;
  readonly createdAtMs = Date.now();
  /** What the authorizer said about this client. */
  context: Readonly<Record<string, unknown>> = {};
  subprotocol = '';
  /** Set by the part that composes messages: what all messages of this connection have in common. */
  envelopePrefix = '';
  state: ConnectionState = 'opening';
  /** Last sign of life from the client. */
  lastSeenMs = Date.now();
  /** Client messages handed to the bus and not acknowledged by it. */
  unacknowledgedMessages = 0;
  unacknowledgedBytes = 0;
  /** True once its socket was open. */
  wasOpen = false;
  /** Set once it is decided that the connection ends. */
  closure: Closure | undefined;

  #socket: WebSocket | undefined;
  #holds = 0;
  #sequence = 0;
  #waiting: { data: Uint8Array; isBinary: boolean }[] = [];
  #waitingBytes = 0;
  /** Frames handed to the socket and not yet to the operating system. */
  #frames = 0;
  readonly #policy: LiveSocketPolicy;

  constructor(init: ConnectionInit) {
    this.id = init.id;
    this.endpoint = init.endpoint;
    this.remoteAddress = init.remoteAddress;
    this.#policy = init.policy;
  }

  /**
   * Bytes kept for the client, in the socket's queue or waiting for it to open, including the overhead of keeping them.
   */
  get bufferedBytes(): number {
    if (this.#socket === undefined) return this.#waitingBytes;
    return this.#socket.bufferedAmount + this.#frames * frameOverheadBytes;
  }

  /** True when it ends for a reason after which client messages are ignored: any reason except a drain. */
  get isDiscarding(): boolean {
    return this.closure?.code !== undefined && this.closure.closeCode !== closeCodes.goingAway;
  }

  get isHeld(): boolean {
    return this.#holds !== 0;
  }

  /** The id of the next client message: unique in the group, since connection ids are. */
  nextMessageId(): string {
    this.#sequence += 1;
    return `${this.id}-${this.#sequence}`;
  }

  /** Gives the connection its socket and sends what waited for it. */
  open(socket: WebSocket): void {
    this.#socket = socket;
    this.state = 'open';
    this.wasOpen = true;
    this.lastSeenMs = Date.now();
    if (this.#holds !== 0) socket.pause();
    for (const { data, isBinary } of this.#waiting) this.#write(socket, data, isBinary);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Resolves when the data was handed to the operating system, or could not be. Order of calls is order on the wire. */
  send(data: Uint8Array, isBinary: boolean): Promise<SendResult> | SendResult {
    if (this.state === 'closing' || this.state === 'closed') return 'gone';
    if (this.bufferedBytes + data.byteLength > this.#policy.current.limits.maxBufferedBytes) return 'full';
    const socket = this.#socket;
    if (socket === undefined) {
      this.#waiting.push({ data, isBinary });
      this.#waitingBytes += data.byteLength + frameOverheadBytes;
      return 'accepted';
    }
    return new Promise((resolve) => {
      this.#write(socket, data, isBinary, (error) => resolve(error ? 'gone' : 'sent'));
    });
  }

  /** As `send`, for data that nobody waits for: a client too slow for it is closed. */
  offer(data: Uint8Array, isBinary: boolean): boolean {
    if (this.state === 'closing' || this.state === 'closed') return false;
    if (this.bufferedBytes + data.byteLength > this.#policy.current.limits.maxBufferedBytes) {
      const closeCode = closeCodes.tryAgainLater;
      this.close({ closeCode, reason: 'slow client', by: 'gateway', code: 'HYD_SLOW_CLIENT' });
      return false;
    }
    if (this.#socket === undefined) {
      this.#waiting.push({ data, isBinary });
      this.#waitingBytes += data.byteLength + frameOverheadBytes;
    } else {
      this.#write(this.#socket, data, isBinary);
    }
    return true;
  }

  ping(): void {
    if (this.state === 'open') this.#socket?.ping();
  }

  /** Stops reading from the client until every reason is released; TCP then slows the client down. */
  hold(reason: number): void {
    if (this.isDiscarding) return;
    if (this.#holds === 0) this.#socket?.pause();
    this.#holds |= reason;
  }

  release(reason: number): void {
    if ((this.#holds & reason) === 0) return;
    this.#holds &= ~reason;
    if (this.#holds !== 0) return;
    this.lastSeenMs = Date.now();
    this.#socket?.resume();
  }

  /**
   * Begins the closing handshake; what the client sent before it saw our close frame still arrives, unless reading is
   * held. The first call decides the closure. A client that does not answer is cut off.
   */
  close(closure: Closure): void {
    if (this.closure !== undefined) return;
    this.closure = { ...closure, reason: fitCloseReason(closure.reason) };
    if (this.#socket === undefined) return;
    this.state = 'closing';
    if (closure.closeCode === closeCodes.abnormal) this.#socket.terminate();
    else this.#socket.close(closure.closeCode, this.closure.reason);
    // The client's answer to our close frame comes after what it sent before: that must be read in order to be
    // discarded.
    if (this.isDiscarding) this.release(this.#holds);
  }

  #write(socket: WebSocket, data: Uint8Array, isBinary: boolean, done?: (error?: Error | null) => void): void {
    this.#frames += 1;
    socket.send(data, { binary: isBinary }, (error) => {
      this.#frames -= 1;
      done?.(error);
    });
  }

  /** Cuts the connection without a closing handshake. */
  terminate(): void {
    this.#socket?.terminate();
  }
}

/**
 * What a queued message costs in memory in addition to its data, so that small ones can't grow a queue without limit.
 */
const frameOverheadBytes = 320;
