/** Back-pressure from the bus on the publishers of client messages. */

/** Published messages that the bus has not acknowledged yet. */
export interface Unacknowledged {
  readonly messages: number;
  /** Payload bytes of these messages. */
  readonly bytes: number;
}

export interface PublishLimits {
  /** Above this many unacknowledged messages the bus is under pressure; default 8192. */
  readonly maxUnacknowledgedMessages: number;
  /** The same limit in payload bytes; default 64 MiB. */
  readonly maxUnacknowledgedBytes: number;
}

export const defaultPublishLimits: PublishLimits = {
  maxUnacknowledgedMessages: 8192,
  maxUnacknowledgedBytes: 64 * 1024 * 1024,
};

export interface Pressure {
  /**
   * True while no more messages should be published: the bus is down, the stream is full, or too much is
   * unacknowledged. `publish` still accepts messages, but the publisher must stop reading from its sockets.
   */
  readonly isPressed: boolean;
  readonly unacknowledged: Unacknowledged;
  onPressure(listener: (isPressed: boolean) => void): void;
  /**
   * Waits up to `timeoutMs` for everything unacknowledged; resolves with the connection ids of messages that are still
   * not stored.
   */
  flush(timeoutMs: number): Promise<string[]>;
}
