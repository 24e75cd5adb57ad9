/** The operations of the management API: any gateway performs them for any connection of the group. */

import type { PushStatus } from '../../push-status.ts';

export interface PushResult {
  readonly status: PushStatus;
}

export interface ConnectionsApi {
  isConnectionId(id: string): boolean;
  send(connectionId: string, data: Buffer, isBinary: boolean): Promise<PushResult>;
  disconnect(connectionId: string, closeCode: number, reason: string): Promise<PushResult>;
  /** JSON of the connection when the status is `done`. */
  describe(connectionId: string): Promise<PushResult & { readonly data: string }>;
  /**
   * Resolves once the bus has it. @throws {HydrogenError} as a rejection: HYD_BUS_UNREACHABLE if it does not confirm
   * that, HYD_MESSAGE_TOO_LARGE
   */
  broadcast(data: Buffer, isBinary: boolean, endpoints: readonly string[] | undefined): Promise<void>;
}
