/** The management API of a gateway: `http/management/` bound to the group's connections, wherever they are. */

import type { PeerBus } from '../bus/port/peers.ts';
import type { ConnectionsApi } from '../http/management/api.ts';
import { encodeBroadcast } from '../peers/codec.ts';
import { isConnectionId } from '../peers/connection-id.ts';
import type { Push } from '../peers/push.ts';
import type { PushOutcome } from '../push-status.ts';

export function createConnectionsApi(peers: PeerBus, push: Push): ConnectionsApi {
  return {
    isConnectionId,
    send: (connectionId, data, isBinary) => push.ask({ kind: 'send', connectionId, data, isBinary }),
    disconnect: (connectionId, closeCode, reason) => push.ask({ kind: 'disconnect', connectionId, closeCode, reason }),
    describe: async (connectionId) => checked(await push.ask({ kind: 'describe', connectionId })),
    broadcast: (data, isBinary, endpoints) => peers.broadcast(encodeBroadcast({ endpoints, data, isBinary })),
  };
}

/** The owner is on the bus, and what it says goes to a service as JSON. */
function checked(outcome: PushOutcome): PushOutcome {
  if (outcome.status !== 'done' || isJsonObject(outcome.data)) return outcome;
  return { status: 'invalid', data: '' };
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    // Not JSON, which is the answer.
    return false;
  }
}
