/**
 * One client connection: from the moment its upgrade was admitted (`opening`: it can already be pushed to) until its
 * socket is gone. Owns its ending, and back-pressure in both directions: `hold` stops reading from the client, `send`
 * refuses to buffer more than `maxBufferedBytes` for it.
 *
 * Once its end is decided it is `settling` until everything that was read from it is stored. Only then is the close
 * frame written; when that takes longer than `settleLimitMs`, its code is 1013.
 */

import type { Duplex } from 'node:stream';
import { closeCodes, fitCloseReason } from '../close.ts';
import type { ClientSocket } from './client-socket.ts';
import { type Closure, closureFor, discards } from './closure.ts';
import { peerKey } from './departures.ts';
import { holds, Inbox } from './inbox.ts';
import type { EndCode } from './lifetime.ts';
import { MessageProgress } from './message-progress.ts';
import { Outbox, type SendResult } from './outbox.ts';
import type { LiveSocketPolicy } from './policy.ts';

/**
 * `settling`: its end is decided, and its messages are being stored. `closing`: its close frame is written. In both
 * states nothing is sent to it any more.
 */
export type ConnectionState = 'opening' | 'open' | 'settling' | 'closing' | 'closed';

export interface ConnectionInit {
  readonly id: string;
  readonly endpoint: string;
  readonly remoteAddress: string;
  readonly policy: LiveSocketPolicy;
}

/** Milliseconds that the messages of an ending connection may take until they are stored. */
const settleLimitMs = 30_000;
const noChannels: readonly string[] = [];

export class Connection {
  readonly id: string;
  readonly endpoint: string;
  readonly remoteAddress: string;
  readonly createdAtMs = Date.now();
  readonly #startedMs = performance.now();
  /** What the authorizer said about this client: JSON, as it wrote it. */
  context = '{}';
  subprotocol = '';
  /** Who the client is, as the authorizer said; undefined: it said nothing. */
  user: string | undefined;
  /** When its time is over, on the monotonic clock (`performance.now()`). Infinity: never. */
  endsAtMs = Number.POSITIVE_INFINITY;
  /** With which closure its time is over. */
  endsWith: EndCode = 'HYD_CONNECTION_EXPIRED';
  /** The channels that it is a member of; `gateway/members.ts` changes them. */
  channels: readonly string[] = noChannels;
  /** Set by the part that composes messages: what all messages of this connection have in common. */
  envelopePrefix = '';
  state: ConnectionState = 'opening';
  /** Last sign of life from the client, on the monotonic clock (`performance.now()`). */
  lastSeenMs = performance.now();
  /** Client messages handed to the bus and not acknowledged by it. */
  unacknowledgedMessages = 0;
  unacknowledgedBytes = 0;
  /** True once its socket was open. */
  wasOpen = false;
  /** Set once it is decided that the connection ends. */
  closure: Closure | undefined;

  readonly #policy: LiveSocketPolicy;
  readonly #inbox = new Inbox();
  readonly #outbox = new Outbox();
  #socket: ClientSocket | undefined;
  #sequence = 0;
  /** True once the client can send no more messages. */
  #hasConcluded = false;
  #settleTimer: NodeJS.Timeout | undefined;
  #peerKey: string | undefined;
  #progress: MessageProgress | undefined;
  #isCut = false;
  /** What the client did that its socket cannot go on from. */
  #failure: Closure | undefined;

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
    return this.#outbox.bufferedBytes;
  }

  /** Bytes that are unfinished or queued because of this client; 0 once it is cut. */
  get keptBytes(): number {
    if (this.#isCut) return 0;
    const unfinished = this.#progress?.keptBytes ?? 0;
    return this.bufferedBytes + this.#inbox.keptBytes + unfinished + this.unacknowledgedBytes;
  }

  /** True when nothing can be sent to it any more. */
  get isEnding(): boolean {
    return this.state !== 'opening' && this.state !== 'open';
  }

  /** True when it ends for a reason after which client messages are ignored: any reason except a drain. */
  get isDiscarding(): boolean {
    return this.closure !== undefined && discards(this.closure);
  }

  /** Milliseconds since its upgrade was admitted. */
  get ageMs(): number {
    return performance.now() - this.#startedMs;
  }

  get isHeld(): boolean {
    return this.#inbox.isHeld;
  }

  /** The reasons for which it is held, as bits of `holds`. */
  get holds(): number {
    return this.#inbox.holds;
  }

  /** Client messages that were read and not handed over. */
  get waitingMessages(): number {
    return this.#inbox.waiting;
  }

  /** True while something that was read from it is not stored. */
  get isUnsaved(): boolean {
    return this.unacknowledgedMessages > 0 || this.#inbox.waiting > 0;
  }

  /** The id of the next client message: unique in the group, since connection ids are. */
  nextMessageId(): string {
    this.#sequence += 1;
    return `${this.id}-${this.#sequence}`;
  }

  /**
   * Gives the connection its socket and sends what waited for it.
   * @param handOver called with each client message, in order
   */
  open(socket: ClientSocket, transport: Duplex, handOver: (data: Buffer, isBinary: boolean) => void): void {
    this.#socket = socket;
    this.state = 'open';
    this.wasOpen = true;
    this.lastSeenMs = performance.now();
    this.#peerKey = peerKey(transport);
    this.#progress = new MessageProgress(transport);
    socket.attach(transport, (code, reason) => this.#onAsked(socket, code, reason));
    socket.on('message', (data, isBinary) => {
      this.lastSeenMs = performance.now();
      this.#progress?.messageDone();
      if (!this.isDiscarding) this.#inbox.receive(data as Buffer, isBinary);
    });
    this.#inbox.open(socket, handOver);
    this.#outbox.open(socket);
  }

  /** Resolves when the data was handed to the operating system, or could not be. Order of calls is order on the wire. */
  send(data: Uint8Array, isBinary: boolean): Promise<SendResult> | SendResult {
    if (this.isEnding) return 'gone';
    return this.#outbox.send(data, isBinary, this.#policy.current.limits.maxBufferedBytes);
  }

  /** As `send`, for data that nobody waits for: a client too slow for it is closed. */
  offer(data: Uint8Array, isBinary: boolean): boolean {
    if (this.isEnding) return false;
    if (this.#outbox.offer(data, isBinary, this.#policy.current.limits.maxBufferedBytes)) return true;
    this.close({ ...closureFor('HYD_SLOW_CLIENT'), reason: 'slow client' });
    return false;
  }

  ping(): void {
    if (this.state === 'open') this.#socket?.ping();
  }

  /** Stops reading from the client, and handing over what was read, until every reason is released. */
  hold(reasons: number): void {
    this.#inbox.hold(reasons);
  }

  release(reasons: number): void {
    if (!this.#inbox.release(reasons)) return;
    if (!this.#inbox.isHeld) this.lastSeenMs = performance.now();
    this.settle();
  }

  /**
   * Decides how the connection ends; the first decision counts. The close frame is written once everything that was
   * read is stored, and at once, in place of an earlier decision too, for a closure that discards messages. What the
   * client sent before it saw the frame still arrives. A client that does not answer the frame is cut off.
   */
  close(closure: Closure): void {
    const isDiscarding = discards(closure);
    if (this.closure !== undefined && !(isDiscarding && this.state === 'settling')) return;
    this.closure = { ...closure, reason: fitCloseReason(closure.reason) };
    if (this.#socket === undefined) return;
    if (closure.closeCode === closeCodes.abnormal) {
      this.state = 'closing';
      this.#socket.terminate();
    } else if (isDiscarding) this.#finish();
    else this.#beginSettling();
  }

  /** Closes it if its time is over. */
  endIfDue(nowMs: number): void {
    if (this.endsAtMs <= nowMs && this.closure === undefined) this.close(closureFor(this.endsWith));
  }

  /** Writes the close frame of a settling connection if everything is stored. Call it whenever that may have changed. */
  settle(): void {
    if (this.state === 'settling' && this.#isSaved) this.#finish();
  }

  /**
   * Waits no longer for what is not stored: a settling connection is closed with 1013. Returns how many messages were
   * read and are thrown away.
   */
  giveUp(): number {
    const thrownAway = this.#inbox.waiting;
    if (this.state === 'settling') this.close(closureFor('HYD_MESSAGES_UNSAVED'));
    else this.#inbox.discard();
    return thrownAway;
  }

  /** Takes note of an error of its socket, which ws closes by itself. */
  failed(closure: Closure): void {
    if (closure.by === 'gateway') this.#failure = closure;
    this.closure ??= closure;
    if (this.state === 'open') this.state = 'closing';
  }

  /** Takes note that its socket is gone. What was read is still handed over. */
  ended(closure: Closure): void {
    this.closure ??= closure;
    this.state = 'closed';
    this.#conclude();
    this.#inbox.release(holds.rate | holds.stored | holds.ending);
  }

  /** Takes note of a ping or pong with this much data. */
  sawControlFrame(bytes: number): void {
    this.lastSeenMs = performance.now();
    this.#progress?.controlDone(bytes);
  }

  /** Call it about once a second: closes the connection when one message takes longer than `maxMs`. */
  checkProgress(nowMs: number, maxMs: number): void {
    if (this.state !== 'open') return;
    if (this.#inbox.isHeld) this.#progress?.pardon();
    else if ((this.#progress?.unfinishedMs(nowMs) ?? 0) > maxMs) this.cut(closureFor('HYD_MESSAGE_TIMEOUT'));
  }

  /**
   * Closes the connection and frees what is kept for it at once: the close frame is handed to the system, and nothing
   * waits for the client. One that has not read what it was sent does not get to the frame.
   */
  cut(closure: Closure): void {
    this.#isCut = true;
    this.close(closure);
    this.#socket?.pause();
    process.nextTick(() => {
      this.terminate();
      this.#socket?.forgetUnfinished();
    });
  }

  /** Call it with the peers that can still send: of a client that has left, the rest is read and its end is found. */
  checkPresence(present: ReadonlySet<string>): void {
    if (this.#peerKey !== undefined && !present.has(this.#peerKey)) this.#inbox.readRest();
  }

  /** Cuts the connection without a closing handshake. */
  terminate(): void {
    this.#socket?.terminate();
  }

  /** Cuts the connection when our close frame is written and nothing was read for `ms`; a held one is not read from. */
  terminateIfSilent(ms: number): void {
    if (this.state === 'closing' && !this.#inbox.isHeld && this.lastSeenMs <= performance.now() - ms) this.terminate();
  }

  /** What was read is stored; and so will be what is read until the client answers, as far as one can know. */
  get #isSaved(): boolean {
    return !this.isUnsaved && (this.#hasConcluded || (this.#inbox.holds & (holds.bus | holds.consumer)) === 0);
  }

  #beginSettling(): void {
    this.state = 'settling';
    if (!this.#hasConcluded) {
      this.#inbox.hold(holds.ending);
      this.#inbox.parseRead();
    }
    // These two slow a client down; what was read of one that ends is stored all the same.
    this.#inbox.release(holds.rate | holds.stored);
    if (this.#isSaved) this.#finish();
    else this.#settleTimer = setTimeout(() => this.giveUp(), settleLimitMs).unref();
  }

  #finish(): void {
    clearTimeout(this.#settleTimer);
    this.state = 'closing';
    this.lastSeenMs = performance.now();
    const { closeCode = closeCodes.internalError, reason = '' } = this.closure ?? {};
    if (closeCode === closeCodes.noStatus) this.#socket?.finish();
    else this.#socket?.finish(closeCode, reason);
    if (this.isDiscarding) this.#inbox.discard();
    else this.#inbox.release(holds.ending);
  }

  /** ws asks for a close frame: after the client's, or after an error, which has set the closure. */
  #onAsked(socket: ClientSocket, closeCode: number | undefined, reason: string): void {
    this.#conclude();
    if (this.state === 'open') {
      this.closure = { closeCode: closeCode ?? closeCodes.noStatus, reason, by: 'client' };
      this.#beginSettling();
    } else if (this.state === 'settling') this.settle();
    else socket.finish(this.#failure?.closeCode ?? closeCode, this.#failure?.reason ?? reason);
  }

  #conclude(): void {
    this.#hasConcluded = true;
    this.#inbox.end();
    if (this.state === 'closed') clearTimeout(this.#settleTimer);
  }
}
