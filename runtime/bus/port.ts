/**
 * The bus as gateways and message processors see it. Two implementations, `memory/` (one process, nothing survives
 * it) and `nats/` (JetStream), pass the one contract suite in test/contract/bus/.
 *
 * What every implementation guarantees:
 * - `publish` resolves only when the message is stored; until then the bus owns the payload and retries under the same
 *   message id, through reconnects, for as long as it lives.
 * - a stored message is delivered to each consumer whose filter covers it until that consumer acknowledges or
 *   terminates it: at least once, whatever process dies.
 * - nothing throws out of a listener's call: a listener that throws is a bug and ends the process.
 */

import type { HydrogenError } from '../errors.ts';

/** `up`: connected and usable. `down`: never connected yet, or the connection is lost; the bus reconnects by itself. */
export type BusStatus = 'up' | 'down' | 'stopped';

/** A message of a client on its way to destinations. */
export interface ClientMessage {
  /** The idempotency key, the same on every attempt: `[A-Za-z0-9-]`, unique in the group. */
  readonly id: string;
  /** `<instance>-<random>`, `[A-Za-z0-9-]`. */
  readonly connectionId: string;
  /** Path of the client endpoint, for example `/chat`. */
  readonly endpoint: string;
  /** Base URL of the management API that a destination may call back, empty when there is none. */
  readonly callbackUrl: string;
  /** The body that the destination receives. Not modified by anyone after it is handed over. */
  readonly payload: Uint8Array;
}

/** One attempt to deliver a message to one consumer. Exactly one of `ack`, `nak`, `term` ends it; later calls do nothing. */
export interface Delivery extends ClientMessage {
  /** 1 on the first attempt. Counts attempts of crashed processes too. */
  readonly attempt: number;
  /** Set when a dead letter was replayed. */
  readonly isReplay: boolean;
  /** Milliseconds since the epoch at which the bus stored the message. */
  readonly storedAtMs: number;
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
  /** Deliveries that may be open in this process at once. */
  readonly maxInFlight: number;
  /** Strict order per connection over all replicas: an attempt must end before the next message of the connection is delivered. */
  readonly ordering: 'Unordered' | 'PerConnection';
  /** With PerConnection: how many ordered lanes, a divisor of 256. */
  readonly partitions: number;
}

/** Messages of a consumer that are stored and not consumed: waiting (`pending`) and delivered but open (`unacknowledged`). */
export interface Lag {
  readonly pending: number;
  readonly unacknowledged: number;
}

export interface Consumption {
  /** True while deliveries can arrive: the durable consumer exists and the bus is up. */
  readonly isReady: boolean;
  /** Undefined while it can't be known. */
  lag(): Promise<Lag | undefined>;
  /** No delivery begins after this resolves; open ones can still be ended. Never rejects. */
  stop(): Promise<void>;
}

export type Answer =
  | { readonly kind: 'answer'; readonly payload: Uint8Array }
  /** Nobody serves that instance id right now. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'timeout' }
  /** The bus is down: not sent. */
  | { readonly kind: 'down' };

/** Why a message went to the dead-letter stream. */
export interface DeadLetterCause {
  readonly code: string;
  readonly detail: string;
  /** HTTP status of the last attempt, when one was answered. */
  readonly status?: number;
  /** Name of the rule that matched, when one did. */
  readonly rule?: string;
}

export interface DeadLetter extends ClientMessage, DeadLetterCause {
  /** Position in the dead-letter stream: what `replay` and `remove` take. */
  readonly sequence: number;
  readonly attempts: number;
  readonly diedAtMs: number;
}

/** The dead letters of one message processor. Every method @throws {HydrogenError} HYD_BUS_UNREACHABLE when the bus can't be asked. */
export interface DeadLetters {
  /** Oldest first. @param afterSequence skip up to and with this one, 0 for all. */
  list(limit: number, afterSequence?: number): Promise<DeadLetter[]>;
  get(sequence: number): Promise<DeadLetter | undefined>;
  /** Delivers it once more, to this processor alone, with its old message id and a fresh attempt count, then removes it. False: no such letter. @throws {HydrogenError} HYD_NOT_READY when its consumer does not exist or no longer covers the endpoint */
  replay(sequence: number): Promise<boolean>;
  /** False: no such letter. */
  remove(sequence: number): Promise<boolean>;
  /** Removes all of them; resolves with how many. */
  purge(): Promise<number>;
}

/** An instance's claim that its connections may live. */
export interface Lease {
  /** True while it is known to be held: it was written, and renewed within its time. */
  readonly isHeld: boolean;
  /** Gives it up at once, so that its connections count as gone. Never rejects. */
  release(): Promise<void>;
}

export interface PublishLimits {
  /** Above this many unacknowledged messages the bus is under pressure; default 8192. */
  readonly maxOutstandingMessages: number;
  /** The same in payload bytes; default 64 MiB. */
  readonly maxOutstandingBytes: number;
}

export const defaultPublishLimits: PublishLimits = {
  maxOutstandingMessages: 8192,
  maxOutstandingBytes: 64 * 1024 * 1024,
};

export interface Bus {
  readonly status: BusStatus;
  /** Largest payload in bytes that `publish`, `request` and `broadcast` take. */
  readonly maxPayloadBytes: number;
  /**
   * True while no more messages should be published: the bus is down, the stream is full, or too much is outstanding.
   * `publish` still accepts; who publishes must stop reading from its sockets.
   */
  readonly isPressed: boolean;
  readonly outstanding: { readonly messages: number; readonly bytes: number };
  onStatus(listener: (status: BusStatus, cause?: unknown) => void): void;
  onPressure(listener: (isPressed: boolean) => void): void;

  /** Begins to connect and resolves at once; the bus may still be down. @throws never for an unreachable server. */
  start(): Promise<void>;
  /** Waits up to `timeoutMs` for everything outstanding; resolves with the connection ids of what is still unstored. */
  flush(timeoutMs: number): Promise<string[]>;
  /** Ends every subscription and the connection; what is outstanding rejects with HYD_BUS_STOPPED. Never rejects. */
  stop(): Promise<void>;

  /** Resolves when stored. @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE, HYD_BUS_STOPPED; nothing else. */
  publish(message: ClientMessage): Promise<void>;
  /** True while a consumer's filter covers every message of this endpoint: what is published is kept for somebody. */
  isConsumed(endpoint: string): boolean;
  /** Called whenever the answer of `isConsumed` may have changed. */
  onConsumers(listener: () => void): void;

  /**
   * Creates stream and durable consumer where missing, adapts what can be changed in place, and delivers. Retries by
   * itself until `stop`. @param onProblem told of what keeps it from delivering (HYD_STREAM_CONFLICT and others).
   */
  consume(
    options: ConsumerOptions,
    onDelivery: (delivery: Delivery) => void,
    onProblem: (error: HydrogenError) => void,
  ): Consumption;
  /** Stores a dead letter under the processor's name; resolves when it is stored. Retries by itself until `stop`. @throws {HydrogenError} HYD_BUS_STOPPED */
  deadLetter(processor: string, message: ClientMessage, attempts: number, cause: DeadLetterCause): Promise<void>;
  deadLetters(processor: string): DeadLetters;

  /** Answers requests to this instance. The handler must not reject. */
  serve(instanceId: string, handler: (payload: Uint8Array) => Promise<Uint8Array>): void;
  /** @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE */
  request(instanceId: string, payload: Uint8Array, timeoutMs: number): Promise<Answer>;
  /** Hands it to every instance of the group that is connected, this one included. @throws {HydrogenError} HYD_BUS_UNREACHABLE, HYD_MESSAGE_TOO_LARGE */
  broadcast(payload: Uint8Array): void;
  onBroadcast(listener: (payload: Uint8Array) => void): void;

  /**
   * Claims the lease of this instance and renews it until released. `onLost` is called whenever it could not be
   * renewed for so long that others may soon see it as expired: the owner must end its connections, and may take new
   * ones once the lease is held again, which the bus goes on trying.
   */
  holdLease(instanceId: string, onLost: () => void): Lease;
  /** Whether that instance's lease is held; undefined while it can't be known. */
  isLeaseHeld(instanceId: string): Promise<boolean | undefined>;
}
