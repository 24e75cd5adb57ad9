/**
 * Client messages on their way to message processors.
 *
 * - `publish` resolves only when the message is stored; until then the bus owns the payload and retries under the same
 *   message id, through reconnects, for as long as it lives. A message to an endpoint that is not consumed waits until
 *   it is: nothing is stored that nobody would get.
 * - A stored message is delivered to each consumer whose filter covers it until that consumer acknowledges or
 *   terminates it: at least once, whichever process dies.
 */

import type { HydrogenError } from '../../errors.ts';
import type { ClientMessage } from './client-message.ts';
import type { DeadLetterCause } from './dead-letters.ts';
import type { Pressure } from './pressure.ts';

/** One attempt to deliver a message to one consumer. Exactly one of `ack`, `nak`, `term` ends it; later calls do nothing. */
export interface Delivery extends ClientMessage {
  /**
   * 1, and the requests that were sent for it before it was parked, and its deliveries since it was stored where it is
   * that did not consume it: handed back, timed out, or ended by a crash.
   */
  readonly attempt: number;
  /** True if it is stored together with other messages: what a process dies of, or hands back, is repeated with all. */
  readonly isShared: boolean;
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
  /** Consumed: never delivered to this consumer again. */
  ack(): void;
  /** Deliver again, not before `delayMs` from now. */
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
  /** A delivery that is neither ended nor `working()` for this long is delivered again, to any replica. */
  readonly ackTimeoutMs: number;
  /** Deliveries that may be open in this process at once, to begin with. */
  readonly maxInFlight: number;
  /**
   * Strict order per connection across all replicas: an attempt must end before the next message of the connection is
   * delivered.
   */
  readonly ordering: 'Unordered' | 'PerConnection';
  /** With PerConnection: the number of ordered lanes, a divisor of 256. */
  readonly partitions: number;
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
  /** Undefined while it can't be known. */
  lag(): Promise<Lag | undefined>;
  /**
   * No delivery begins after this resolves; open ones can still be ended. Never rejects.
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
   * @param onReadiness called whenever `isReady` may have changed for a reason other than the status of the bus.
   */
  consume(
    options: ConsumerOptions,
    onDelivery: (delivery: Delivery) => void,
    onProblem: (error: HydrogenError) => void,
    onReadiness?: () => void,
  ): Consumption;
}
