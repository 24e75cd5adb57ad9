/** What a gateway does with the connections it owns when a service asks for it, here or through another gateway. */

import type { Broadcast, OwnerStatus } from '../peers/codec.ts';
import type { Owner } from '../peers/push.ts';
import type { GatewayCounts } from '../role/metrics.ts';
import type { Connection, SendResult } from '../socket/connection.ts';
import type { SocketServer } from '../socket/server.ts';

export interface GatewayOwner extends Owner {
  /** Writes to every connection of the named endpoints; broadcasts reach a connection in the order of their arrival. */
  broadcast(broadcast: Broadcast): void;
}

/** Connections written to before other work gets a turn. */
const broadcastBatch = 256;

const statusOf: Readonly<Record<SendResult, OwnerStatus>> = {
  sent: 'done',
  accepted: 'accepted',
  gone: 'gone',
  full: 'full',
};

export function createOwner(
  sockets: SocketServer,
  counts: GatewayCounts,
  instanceId: string,
  maxBufferedBytes: () => number,
): GatewayOwner {
  let broadcasts: Promise<void> = Promise.resolve();

  function countSent(connection: Connection, bytes: number): void {
    counts.sent.add(connection.endpoint);
    counts.sentBytes.add(connection.endpoint, bytes);
  }

  async function fanOut({ endpoints, data, isBinary }: Broadcast): Promise<void> {
    let budget = broadcastBatch;
    for (const connection of [...sockets.connections.values()]) {
      if (endpoints !== undefined && !endpoints.includes(connection.endpoint)) continue;
      if (connection.offer(data, isBinary)) countSent(connection, data.byteLength);
      budget -= 1;
      if (budget > 0) continue;
      budget = broadcastBatch;
      await new Promise(setImmediate);
    }
  }

  const owner: Owner = async (request) => {
    const connection = sockets.connections.get(request.connectionId);
    if (connection === undefined || connection.state === 'closing') return { status: 'gone' };
    switch (request.op) {
      case 'send': {
        if (request.data.byteLength > maxBufferedBytes()) return { status: 'tooLarge' };
        const result = await connection.send(request.data, request.isBinary);
        if (result === 'sent' || result === 'accepted') countSent(connection, request.data.byteLength);
        return { status: statusOf[result] };
      }
      case 'reply':
        if (!connection.offer(request.data, request.isBinary)) return { status: 'full' };
        countSent(connection, request.data.byteLength);
        return { status: 'done' };
      case 'disconnect':
        connection.close({ code: request.code, reason: request.reason, by: 'service' });
        return { status: 'done' };
      case 'describe':
        return { status: 'done', data: JSON.stringify(describe(connection, instanceId)) };
    }
  };

  return Object.assign(owner, {
    broadcast(broadcast: Broadcast): void {
      broadcasts = broadcasts.then(() => fanOut(broadcast));
    },
  });
}

function describe(connection: Connection, instanceId: string): object {
  return {
    connection_id: connection.id,
    instance_id: instanceId,
    endpoint: connection.endpoint,
    state: connection.state,
    remote_address: connection.remoteAddress,
    subprotocol: connection.subprotocol,
    connected_at: new Date(connection.createdAtMs).toISOString(),
    last_seen_at: new Date(connection.lastSeenMs).toISOString(),
    buffered_bytes: connection.bufferedBytes,
  };
}
