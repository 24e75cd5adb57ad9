/** The operations of the management API: any gateway performs them for any connection of the group. */

import type { PushStatus } from '../../push-status.ts';

export interface PushResult {
  readonly status: PushStatus;
}

/** A user or a channel. */
export interface Recipient {
  readonly kind: 'user' | 'channel';
  readonly name: string;
}

export interface Frame {
  readonly data: Buffer;
  readonly isBinary: boolean;
  /** A connection that does not get it. */
  readonly except?: string | undefined;
  /** A gateway that has sent it to the same recipient under this key, within 120 s, does not send it again. */
  readonly key?: string | undefined;
}

/** Connections, and gateways that are alive and did not answer in time: theirs are not counted. */
export interface Counts {
  readonly connections: number;
  readonly unanswered: number;
}

export interface SendCounts extends Counts {
  /** Given to these. */
  readonly sent: number;
  /** These were too slow for it, and are closed. */
  readonly full: number;
}

/** Which connections are listed; undefined: all. */
export interface AddressedConnections {
  readonly endpoint?: string | undefined;
  readonly user?: string | undefined;
  readonly channel?: string | undefined;
}

export interface Page extends Counts {
  /** As `GET /connections/{id}` has them, in the order of their ids. `connections` counts all pages. */
  readonly items: readonly unknown[];
  /** Where the next page begins; absent on the last. */
  readonly cursor?: string | undefined;
}

export interface ConnectionsApi {
  isConnectionId(id: string): boolean;
  isIdempotencyKey(key: string): boolean;
  send(connectionId: string, data: Buffer, isBinary: boolean): Promise<PushResult>;
  disconnect(connectionId: string, closeCode: number, reason: string): Promise<PushResult>;
  /** JSON of the connection when the status is `done`. */
  describe(connectionId: string): Promise<PushResult & { readonly data: string }>;
  /**
   * Resolves once the bus has it. @throws {HydrogenError} as a rejection: HYD_BUS_UNREACHABLE if it does not confirm
   * that, HYD_MESSAGE_TOO_LARGE
   */
  broadcast(data: Buffer, isBinary: boolean, endpoints: readonly string[] | undefined): Promise<void>;
  /**
   * Undefined when it is not to be waited for. The five below @throws {HydrogenError} as a rejection:
   * HYD_BUS_UNREACHABLE when nobody was asked, HYD_MESSAGE_TOO_LARGE
   */
  sendTo(to: Recipient, frame: Frame, isAwaited: boolean): Promise<SendCounts | undefined>;
  disconnectAll(of: Recipient, closeCode: number, reason: string): Promise<Counts>;
  /** For one connection; `full` when it is in as many channels as it may be. */
  changeMembership(change: 'join' | 'leave', connectionId: string, channel: string): Promise<PushResult>;
  /** For the connections of a user that are open now. */
  changeMemberships(
    change: 'join' | 'leave',
    user: string,
    channel: string,
  ): Promise<Counts & { readonly refused: number }>;
  list(wanted: AddressedConnections, limit: number, cursor: string | undefined): Promise<Page>;
}
