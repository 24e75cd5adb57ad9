/** Does what services ask of the connections that this gateway owns, directly or through another gateway. */

import type { Broadcast, OwnerRequest, ReplyRequest } from '../peers/codec.ts';
import type { Fence } from '../peers/fence.ts';
import type { Owner, OwnerAnswer } from '../peers/push.ts';
import type { Description } from '../peers/questions.ts';
import type { OwnerStatus } from '../push-status.ts';
import type { GatewayMetrics } from '../role/metrics.ts';
import type { Connection } from '../socket/connection.ts';
import type { SendResult } from '../socket/outbox.ts';
import type { SocketServer } from '../socket/server.ts';
import type { FanOut } from './fan-out.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';
import type { Members } from './members.ts';

export interface GatewayOwnerDeps {
  readonly identity: GatewayIdentity;
  readonly spec: LiveGatewaySpec;
  readonly sockets: SocketServer;
  readonly members: Members;
  readonly fanOut: FanOut;
  readonly fence: Fence;
  readonly metrics: GatewayMetrics;
  /** False once others may call these connections gone. */
  isAlive(): boolean;
}

const statusOf: Readonly<Record<SendResult, OwnerStatus>> = {
  sent: 'done',
  accepted: 'accepted',
  gone: 'gone',
  full: 'full',
};

export class GatewayOwner implements Owner {
  readonly #deps: GatewayOwnerDeps;

  constructor(deps: GatewayOwnerDeps) {
    this.#deps = deps;
  }

  async answer(request: OwnerRequest): Promise<OwnerAnswer> {
    const { identity, spec } = this.#deps;
    const connection = this.#find(request.connectionId);
    if (connection === undefined) return { status: 'gone' };
    switch (request.kind) {
      case 'send': {
        if (request.data.byteLength > spec.current.limits.maxBufferedBytes) return { status: 'tooLarge' };
        const result = await connection.send(request.data, request.isBinary);
        if (result === 'sent' || result === 'accepted') this.#countSent(connection, request.data.byteLength);
        return { status: statusOf[result] };
      }
      case 'reply':
        return { status: this.reply(request) };
      case 'disconnect':
        connection.close({ closeCode: request.closeCode, reason: request.reason, by: 'service' });
        return { status: 'done' };
      case 'describe':
        return { status: 'done', data: JSON.stringify(describeConnection(connection, identity.instanceId)) };
      case 'join':
        return this.#join(connection, request.channel);
      case 'leave':
        this.#deps.members.leave(connection, request.channel);
        return { status: 'done' };
    }
  }

  reply({ connectionId, data, isBinary }: ReplyRequest): OwnerStatus {
    const connection = this.#find(connectionId);
    if (connection === undefined) return 'gone';
    if (!connection.offer(data, isBinary)) return 'full';
    this.#countSent(connection, data.byteLength);
    return 'done';
  }

  /** Writes to every connection of the named endpoints; broadcasts reach a connection in the order of their arrival. */
  broadcast({ endpoints, data, isBinary }: Broadcast): void {
    const { fanOut, sockets } = this.#deps;
    const wanted = endpoints && new Set(endpoints);
    const all = (): Connection[] => [...sockets.connections.values()];
    const targets = (): Connection[] =>
      wanted === undefined ? all() : all().filter(({ endpoint }) => wanted.has(endpoint));
    void fanOut.write(targets, data, isBinary);
  }

  /** Resolves once what any gateway asks of the channel reaches the connection. */
  async #join(connection: Connection, channel: string): Promise<OwnerAnswer> {
    const { fence, members, spec } = this.#deps;
    const joined = members.join(connection, channel, spec.current.limits.maxChannelsPerConnection);
    if (joined === 'full') return { status: 'full' };
    await fence.join();
    return { status: 'done' };
  }

  /** The connection, unless it is gone or may be called gone. */
  #find(connectionId: string): Connection | undefined {
    const connection = this.#deps.sockets.connections.get(connectionId);
    return connection?.isEnding === false && this.#deps.isAlive() ? connection : undefined;
  }

  #countSent(connection: Connection, bytes: number): void {
    const { metrics } = this.#deps;
    metrics.sent.add(connection.endpoint);
    metrics.sentBytes.add(connection.endpoint, bytes);
  }
}

/** What the management API says of a connection. */
export function describeConnection(connection: Connection, instanceId: string): Description {
  return {
    connection_id: connection.id,
    instance_id: instanceId,
    endpoint: connection.endpoint,
    user: connection.user,
    channels: connection.channels,
    state: connection.state,
    remote_address: connection.remoteAddress,
    subprotocol: connection.subprotocol,
    connected_at: new Date(connection.createdAtMs).toISOString(),
    last_seen_at: atWall(connection.lastSeenMs),
    ends_at: Number.isFinite(connection.endsAtMs) ? atWall(connection.endsAtMs) : undefined,
    buffered_bytes: connection.bufferedBytes,
  };
}

/** A moment of the monotonic clock as RFC 3339, as the wall clock reads now. */
function atWall(monotonicMs: number): string {
  return new Date(Date.now() + monotonicMs - performance.now()).toISOString();
}
