/**
 * Messages between the processes of a group: requests to one instance, to those that listen to an address, and broadcasts
 * to all of them.
 */

/** The answer to a request to an instance. */
export type PeerAnswer =
  | { readonly kind: 'answer'; readonly payload: Uint8Array }
  /** Nobody serves that instance id right now. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'timeout' }
  /** The bus is down: not sent. */
  | { readonly kind: 'down' };

/**
 * What several instances can be asked by: those that have connections of a user, or members of a channel; or every one, for
 * its connections or for a fence. Names are those of `names.ts`.
 */
export type Address =
  | { readonly kind: 'user' | 'channel'; readonly name: string }
  | { readonly kind: 'everyone' | 'fence' };

/** What lasts until it is closed. */
export interface Closable {
  /** Nothing arrives after this turn of the event loop. */
  close(): void;
}

export interface PeerBus {
  /** Largest payload in bytes that `request` and `broadcast` accept. */
  readonly maxPayloadBytes: number;
  /**
   * Answers requests to this instance. The handler must not reject. An answer of more than `maxPayloadBytes` is not sent:
   * its request times out.
   */
  serve(instanceId: string, handler: (payload: Uint8Array) => Promise<Uint8Array>): void;
  /** @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE */
  request(instanceId: string, payload: Uint8Array, timeoutMs: number): Promise<PeerAnswer>;
  /**
   * Hands it to every instance of the group that is connected at this moment, this one included; resolves once the
   * server has it, after five seconds at most. An instance that is cut off misses it.
   * @throws {HydrogenError} as a rejection: HYD_MESSAGE_TOO_LARGE; HYD_BUS_UNREACHABLE if it was not sent or not
   * confirmed: some instances may have got it
   */
  broadcast(payload: Uint8Array): Promise<void>;
  onBroadcast(listener: (payload: Uint8Array) => void): void;
  /**
   * Hears what is asked of an address from now on, until it is closed. What others ask is heard once `confirm` has resolved,
   * and through other servers of a NATS cluster a moment later. The handler may respond any number of times, each with at
   * most `maxPayloadBytes`; more is not sent.
   * @throws {HydrogenError} HYD_ADDRESS_INVALID
   */
  listen(address: Address, handler: (payload: Uint8Array, respond: (answer: Uint8Array) => void) => void): Closable;
  /**
   * Hands it to every instance that listens to the address and is connected at this moment, this one included. Answers
   * arrive until it is closed. What one process asks, of whatever addresses, is heard by each instance in this order.
   * @returns undefined when the bus is down: not sent
   * @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE, HYD_ADDRESS_INVALID
   */
  ask(address: Address, payload: Uint8Array, onAnswer: (answer: Uint8Array) => void): Closable | undefined;
  /**
   * Resolves with true once the server knows what this process listens to; with false when it did not say so within seconds.
   * Never rejects.
   */
  confirm(): Promise<boolean>;
}
