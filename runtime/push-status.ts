/** The outcome of a push to a connection, in the words of the bus, the management API and the metrics. */

/** What the gateway that owns the connection answers. */
export type OwnerStatus =
  /** Written to the socket, closed or described. */
  | 'done'
  /** Kept until the connection opens. */
  | 'accepted'
  /** The connection is closed. */
  | 'gone'
  /** The client's buffer has no room: nothing was sent. */
  | 'full'
  /** The message is larger than the client's buffer, or than the bus accepts: nothing was sent. */
  | 'tooLarge'
  /** The owner does not know this form of request: it runs another release. */
  | 'invalid';

/** What the gateway that received the push answers. */
export type PushStatus =
  | OwnerStatus
  /** The owner did not answer, and its lease is held or can't be read: it may or may not have happened. */
  | 'timeout'
  /** The owner's lease is held but it can't be reached, or that can't be known: nothing happened. */
  | 'cutOff'
  /** The bus is down: nothing happened. */
  | 'down';

export interface PushOutcome {
  readonly status: PushStatus;
  /** What the owner says about the connection, for `describe`: JSON. */
  readonly data: string;
}
