/** What this gateway and the other members of its group ask of one another. */

import { Occasionally } from '../../process/occasionally.ts';
import type { Bus } from '../bus/port/bus.ts';
import { Addressing } from '../peers/addressing.ts';
import { decodeBroadcast, decodeReplies, decodeRequest, encodeAnswer, encodeStatuses } from '../peers/codec.ts';
import { Fence } from '../peers/fence.ts';
import type { RoleLog } from '../role/log.ts';
import type { GatewayMetrics, PeerMessageKind } from '../role/metrics.ts';
import type { Connection } from '../socket/connection.ts';
import type { SocketServer } from '../socket/server.ts';
import { Addressed } from './addressed.ts';
import { FanOut } from './fan-out.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';
import { Members } from './members.ts';
import { GatewayOwner } from './owner.ts';

export interface GatewayPeersDeps {
  readonly bus: Bus;
  readonly identity: GatewayIdentity;
  readonly spec: LiveGatewaySpec;
  readonly sockets: SocketServer;
  readonly metrics: GatewayMetrics;
  readonly log: RoleLog;
  /** False once others may call these connections gone. */
  isAlive(): boolean;
}

/** Milliseconds between two log lines about unreadable messages of peers. */
const unreadableLogMs = 1_000;

export class GatewayPeers {
  readonly owner: GatewayOwner;
  readonly addressing: Addressing;
  readonly #deps: GatewayPeersDeps;
  readonly #members: Members;
  readonly #addressed: Addressed;
  readonly #fence: Fence;
  readonly #unreadable = new Occasionally(unreadableLogMs);

  constructor(deps: GatewayPeersDeps) {
    const { bus, identity, spec, sockets, metrics, isAlive } = deps;
    this.#deps = deps;
    this.#fence = new Fence(bus, identity.instanceId);
    this.addressing = new Addressing(bus.peers, this.#fence);
    const maxFrameBytes = (): number => spec.current.limits.maxBufferedBytes;
    const fanOut = new FanOut({ metrics, maxFrameBytes, isAlive });
    const fence = this.#fence;
    this.#members = new Members((address) =>
      bus.peers.listen(address, (payload, respond) => this.#addressed.hear(address, payload, respond)),
    );
    const members = this.#members;
    const parts = { identity, spec, sockets, members, fanOut, fence, isAlive };
    this.owner = new GatewayOwner({ ...parts, metrics });
    this.#addressed = new Addressed({
      ...parts,
      metrics,
      onUnreadable: (payload) => void this.#onUnreadable('question', payload),
    });
  }

  /** Connections, counted once for each channel that they are in. */
  get memberships(): number {
    return this.#members.memberships;
  }

  /** Call it before the bus is started. */
  listen(): void {
    const { bus, identity } = this.#deps;
    bus.peers.onBroadcast((payload) => this.#onBroadcast(payload));
    bus.peers.serve(identity.instanceId, (payload) => this.#answer(payload));
    const everyone = { kind: 'everyone' } as const;
    bus.peers.listen(everyone, (payload, respond) => this.#addressed.hear(everyone, payload, respond));
    this.#fence.listen();
    bus.onStatus((status) => {
      if (status === 'up') void this.#fence.meet();
    });
  }

  /** The lease is held: others wait for this gateway from now on. */
  held(): void {
    void this.#fence.meet();
  }

  /** This gateway has no connections any more, and will not answer. */
  leave(): void {
    this.#fence.leave();
  }

  /** Takes note of a connection that can be reached from now on. */
  add(connection: Connection): void {
    this.#members.add(connection);
  }

  remove(connection: Connection): void {
    this.#members.remove(connection);
  }

  async #answer(payload: Uint8Array): Promise<Uint8Array> {
    const replies = decodeReplies(payload);
    if (replies !== undefined) {
      return encodeAnswer('done', encodeStatuses(replies.map((reply) => this.owner.reply(reply))));
    }
    const request = decodeRequest(payload);
    if (request === undefined) return this.#onUnreadable('request', payload);
    try {
      const { status, data } = await this.owner.answer(request);
      return encodeAnswer(status, data);
    } catch (error) {
      this.#deps.log.failed(error);
      return encodeAnswer('invalid');
    }
  }

  #onBroadcast(payload: Uint8Array): void {
    const broadcast = decodeBroadcast(payload);
    if (broadcast === undefined) this.#onUnreadable('broadcast', payload);
    else this.owner.broadcast(broadcast);
  }

  /** Counts it, and logs one in a while: whoever reaches the bus can send as many as he likes. */
  #onUnreadable(kind: PeerMessageKind, payload: Uint8Array): Uint8Array {
    this.#deps.metrics.peersUnreadable.add(kind);
    const count = this.#unreadable.take();
    if (count !== undefined) this.#deps.log.peerUnreadable({ kind, bytes: payload.byteLength, count });
    return encodeAnswer('invalid');
  }
}
