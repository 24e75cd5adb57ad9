/** A client message, as it travels from the gateway that read it to destinations and dead letters. */

export interface ClientMessage {
  /** The idempotency key, the same on every attempt: `[A-Za-z0-9-]`, unique in the group. */
  readonly id: string;
  /** `<instance>-<random>`, `[A-Za-z0-9-]`. */
  readonly connectionId: string;
  /** Path of the client endpoint, for example `/chat`. */
  readonly endpoint: string;
  /** Base URL of the management API that a destination may call back, empty when there is none. */
  readonly callbackUrl: string;
  /** The body that the destination receives. Nobody modifies it once it is handed over. */
  readonly payload: Uint8Array;
}
