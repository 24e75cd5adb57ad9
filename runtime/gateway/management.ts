/** The management API of a gateway: `http/management/` bound to the group's connections, wherever they are. */

import type { PeerBus } from '../bus/port/peers.ts';
import type { ConnectionsApi } from '../http/management/api.ts';
import { encodeBroadcast } from '../peers/codec.ts';
import { isConnectionId, type Push } from '../peers/push.ts';

export function createConnectionsApi(peers: PeerBus, push: Push): ConnectionsApi {
  return {
    isConnectionId,
    send: (connectionId, data, isBinary) => push.ask({ kind: 'send', connectionId, data, isBinary }),
    disconnect: (connectionId, closeCode, reason) => push.ask({ kind: 'disconnect', connectionId, closeCode, reason }),
    describe: (connectionId) => push.ask({ kind: 'describe', connectionId }),
    broadcast: (data, isBinary, endpoints) => peers.broadcast(encodeBroadcast({ endpoints, data, isBinary })),
  };
}
