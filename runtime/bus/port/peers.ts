/** Messages between the processes of a group: requests to one instance, and broadcasts to all of them. */

/** The answer to a request to an instance. */
export type PeerAnswer =
  | { readonly kind: 'answer'; readonly payload: Uint8Array }
  /** Nobody serves that instance id right now. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'timeout' }
  /** The bus is down: not sent. */
  | { readonly kind: 'down' };

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
}
