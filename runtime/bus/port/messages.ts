/**
 * Client messages on their way to message processors.
 *
 * - `publish` resolves only when the message is stored; until then the bus owns the payload and retries under the same
 *   message id, through reconnects, for as long as it lives. A message to an endpoint that is not consumed waits until
 *   it is: nothing is stored that nobody would get.
 * - A stored message is delivered to each consumer whose filter covers it until that consumer acknowledges or
 *   terminates it: at least once, whichever process dies.
 * - With PerConnection, all messages of a connection go to one consumption at a time, in order, several of them may be
 *   open, and it is for whoever consumes to end them in order. What a consumption has not ended when it stops, dies or
 *   loses the connection goes to another one, in order, before anything later of the connection. What it has by then, it
 *   must not begin: see `Delivery.begin`.
 */

import type { HydrogenError } from '../../errors.ts';
import type { ClientMessage } from './client-message.ts';
import type { DeadLetterCause } from './dead-letters.ts';
import type { Pressure } from './pressure.ts';

/** `gone`: the bus no longer stores it. `unavailable`: the bus can't be asked at the moment. */
export type Recalled = 'read' | 'gone' | 'unavailable';

/** A message that is open at one consumer. Exactly one of `ack`, `nak`, `term` ends it; later calls do nothing. */
export interface Delivery extends ClientMessage {
  /**
   * 1, and the requests that were sent for it before it was parked, and its deliveries since it was stored where it is
   * that did not consume it: handed back, timed out, or ended by a crash. With PerConnection: 1, the requests that were
   * sent for it as far as `rest` has said so, and one for each consumption that died or was lost while it was the oldest
   * open message of its connection.
   */
  readonly attempt: number;
  /** True if it is stored together with other messages: what a process dies of, or hands back, is repeated with all. */
  readonly isShared: boolean;
  /**
   * True once it belongs to another consumption, which delivers it. It needs no end, and an end that comes nevertheless may
   * not count. Only with PerConnection.
   */
  readonly isWithdrawn: boolean;
  /** Set when a dead letter was replayed. */
  readonly isReplay: boolean;
  /** Milliseconds since the epoch at which the bus first stored the message; parking does not change it. */
  readonly storedAtMs: number;
  /** The waiting room that it comes from; undefined: from the stream of client messages. */
  readonly room: string | undefined;
  /** Milliseconds since the epoch before which it must not be tried; 0 unless it comes from a room. */
  readonly dueAtMs: number;
  /** Why it will become a dead letter, when it waits for nothing else. */
  readonly cause: DeadLetterCause | undefined;
  /**
   * Names what the bus has stored, within one processor: the same on each delivery of it, another one once it was parked.
   * `[a-z0-9]`.
   */
  readonly source: string;
  /**
   * Forgets the payload, for a message that has long to wait: until `recall` has resolved with `read`, nobody may read it.
   * @returns false when it is kept
   */
  shed(): boolean;
  /** Reads the payload again that was forgotten. Never rejects. */
  recall(): Promise<Recalled>;
  /**
   * Says that work on it begins, until it ends or rests. A consumption that is to give up its connection waits for that.
   * @returns false when it is withdrawn, and nothing may be done for it
   */
  begin(): boolean;
  /** Says that work on it has paused, and how many requests were sent since it began; it stays open. */
  rest(requests: number): void;
  /** Consumed: never delivered to this consumer again. */
  ack(): void;
  /** Deliver again, not before `delayMs` from now. With PerConnection, later messages of its connection do not wait. */
  nak(delayMs: number): void;
  /** Still at work: restarts the acknowledgement time-out. */
  working(): void;
  /** Never deliver to this consumer again, although it was not consumed. */
  term(reason: string): void;
}

export interface ConsumerOptions {
  /** Name of the message processor: a DNS label. Replicas of one processor share one durable consumer. */
  readonly processor: string;
  /** Endpoint paths whose messages it gets; undefined: all of the group's. */
  readonly endpoints: readonly string[] | undefined;
  /**
   * Unordered: a delivery that is neither ended nor `working()` for this long is delivered again, to any replica.
   */
  readonly ackTimeoutMs: number;
  /** PerConnection: what a replica has open goes to others when it has been silent for this long. Default 5,000. */
  readonly takeoverMs?: number;
  /** Deliveries that may be open in this process at once, to begin with. */
  readonly maxInFlight: number;
  /** PerConnection: the messages of each connection are delivered to one replica at a time, in order. */
  readonly ordering: 'Unordered' | 'PerConnection';
  /** With PerConnection: the number of lanes, a divisor of 256. Each belongs to one replica at a time. */
  readonly partitions: number;
}

export const defaultTakeoverMs = 5_000;

/** What a consumption says besides its deliveries. */
export interface ConsumptionListener {
  /** `isReady` may have changed for a reason other than the status of the bus. */
  onReadiness?(): void;
  /** Deliveries have been withdrawn: they belong to another consumption now. */
  onWithdrawn?(): void;
  /** Lanes of a replica that fell silent are now this one's. */
  onTakeover?(lanes: number): void;
  /** This replica's lease was not renewed in time: others may take its lanes, and nothing begins here until it is. */
  onLeaseLost?(lanes: number): void;
}

/**
 * Messages of a processor that are stored and not consumed. `pending`: not delivered yet, or in a waiting room;
 * `unacknowledged`: delivered from the stream and open.
 */
export interface Lag {
  readonly pending: number;
  readonly unacknowledged: number;
}

/** Ends a delivery without an attempt. Never rejects. */
export type GiveBack = (delivery: Delivery) => Promise<void>;

export interface Consumption {
  /** Deliveries that may be open in this process at once; 0 pauses it. May be changed at any time. */
  maxOpen: number;
  /** True while deliveries can arrive: the durable consumer exists and the bus is up. */
  readonly isReady: boolean;
  /** The lanes that belong to this consumption; undefined unless it is ordered. */
  readonly lanes: number | undefined;
  /** Undefined while it can't be known. */
  lag(): Promise<Lag | undefined>;
  /**
   * No delivery arrives after this resolves; open ones can still be ended. With PerConnection, none can be begun from this
   * call on, and it resolves when those that had been begun have ended or rest, and their successors may run elsewhere.
   * Never rejects.
   * @param giveBack ends deliveries that have arrived and were not handed out, before this resolves; default: the bus
   *   delivers them again at once, and counts an attempt
   * @param isLeaving this replica will not consume again; default: it may. If it is the last one, it also gives back what
   *   replicas of earlier releases could not read, for ten seconds at most
   */
  stop(giveBack?: GiveBack, isLeaving?: boolean): Promise<void>;
}

/**
 * What some processor has not consumed yet of the stored messages of one connection. A message with a position of its own
 * may be consumed although it does not say so, when the messages of others are left that it was stored with.
 */
export interface Remainder {
  /** Every message with a lower position is consumed. */
  readonly position: number;
  /** When the question was asked there was no such position, nor any higher one. */
  readonly end: number;
  /** Messages in waiting rooms, and those whose position is 0. */
  readonly counted: number;
}

export interface MessageBus extends Pressure {
  /** Largest payload in bytes that `publish` accepts. */
  readonly maxPayloadBytes: number;
  /**
   * Resolves when stored, with its position, which never falls from one message of a connection to the next; 0: the bus
   * counts it by itself. See `remainder`.
   * @param isApart store it apart from the messages of other connections; default: no
   * @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE, HYD_BUS_STOPPED, HYD_CONNECTION_ID_INVALID; nothing else.
   */
  publish(message: ClientMessage, isApart?: boolean): Promise<number>;
  /**
   * What is left of the messages of this connection that were stored before the call; undefined while it can't be known.
   * Never rejects. @param isApart of those that were published apart, or of the others
   */
  remainder(endpoint: string, connectionId: string, isApart: boolean): Promise<Remainder | undefined>;
  /**
   * True while a processor's consumers cover every message of this endpoint, so that a published message is kept for it.
   * False also while that can't be known, and while some other processor covers only a part of the endpoint.
   */
  isConsumed(endpoint: string): boolean;
  /** Called whenever the answer of `isConsumed` may have changed. */
  onConsumers(listener: () => void): void;
  /**
   * Creates stream and durable consumer where missing, adapts what can be changed in place, and delivers. Retries by
   * itself until `stop`.
   * @param onProblem receives each problem that prevents delivery (HYD_STREAM_CONFLICT and others).
   */
  consume(
    options: ConsumerOptions,
    onDelivery: (delivery: Delivery) => void,
    onProblem: (error: HydrogenError) => void,
    listener?: ConsumptionListener,
  ): Consumption;
}
