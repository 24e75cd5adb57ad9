/** The management API of a gateway: `http/management.ts` bound to the group's connections, wherever they are. */

import type { PeerBus } from '../bus/port/peers.ts';
import { closeCodes, isCloseReason, isServiceCloseCode } from '../close.ts';
import { createManagementServer, type ManagementServer } from '../http/management/server.ts';
import { encodeBroadcast } from '../peers/codec.ts';
import { isConnectionId, type Push } from '../peers/push.ts';
import type { GatewayConfig } from '../role/live-config.ts';
import type { Secrets } from '../role/secrets.ts';

export interface GatewayManagementDeps {
  readonly peers: PeerBus;
  readonly push: Push;
  readonly secrets: Secrets;
  /** Of the configuration in force. */
  spec(): GatewayConfig['gateway']['spec']['management'];
  notReadyReason(): string | undefined;
  onError(error: unknown): void;
}

export function createGatewayManagement(deps: GatewayManagementDeps): ManagementServer {
  const { peers, push, spec } = deps;
  return createManagementServer(
    {
      isConnectionId,
      send: (connectionId, data, isBinary) => push.ask({ op: 'send', connectionId, data, isBinary }),
      disconnect: (connectionId, code, reason) => push.ask({ op: 'disconnect', connectionId, code, reason }),
      describe: (connectionId) => push.ask({ op: 'describe', connectionId }),
      broadcast: (data, isBinary, endpoints) => peers.broadcast(encodeBroadcast({ endpoints, data, isBinary })),
      defaultCloseCode: closeCodes.policyViolation,
      isCloseCode: isServiceCloseCode,
      isCloseReason,
      health() {
        const reason = deps.notReadyReason();
        return { isReady: reason === undefined, reason: reason ?? 'serving' };
      },
    },
    {
      maxBodyBytes: () => spec().maxBodyBytes,
      token() {
        const { tokenSecretRef } = spec();
        return tokenSecretRef === undefined ? undefined : deps.secrets.read(tokenSecretRef);
      },
    },
    deps.onError,
  );
}
