/**
 * Reaches a connection of the group from any of its processes. The id names its owner, so there is no look-up: here if
 * it is ours, else one request over the bus. The management API promises that these results are true.
 */

import { within } from '../../process/timing.ts';
import type { LeaseBus } from '../bus/port/leases.ts';
import type { PeerBus } from '../bus/port/peers.ts';
import type { OwnerStatus, PushStatus } from '../push-status.ts';
import { decodeAnswer, encodeRequest, type OwnerRequest } from './codec.ts';

export interface PushOutcome {
  readonly status: PushStatus;
  /** What the owner says about the connection, for `describe`: JSON. */
  readonly data: string;
}

export interface Push {
  /** The connection id must be well-formed: see `isConnectionId`. Never rejects. */
  ask(request: OwnerRequest): Promise<PushOutcome>;
}

export interface OwnerAnswer {
  readonly status: OwnerStatus;
  readonly data?: string;
}

/** Does what a request asks of a connection that this process owns. */
export interface Owner {
  answer(request: OwnerRequest): Promise<OwnerAnswer>;
}

const connectionId = /^[0-9a-f]{12}-[0-9a-f]{32}$/;

/** True for an id that a gateway could have given out. Nothing else becomes part of a subject. */
export function isConnectionId(id: string): boolean {
  return connectionId.test(id);
}

/** The parts of the bus that a push needs. */
export interface PushBus {
  readonly peers: PeerBus;
  readonly leases: LeaseBus;
}

/** @param local the owner of the connections of `instanceId` in this process, if there is one. */
export function createPush(
  { peers, leases }: PushBus,
  timeoutMs: number,
  local?: { instanceId: string; owner: Owner },
): Push {
  return {
    async ask(request) {
      const instanceId = request.connectionId.slice(0, request.connectionId.indexOf('-'));
      if (local !== undefined && instanceId === local.instanceId) {
        // A client that does not read keeps its owner waiting; the answer is then the same as for another gateway.
        const answer = await within(timeoutMs, local.owner.answer(request));
        return { status: 'timeout', data: '', ...answer };
      }
      const payload = encodeRequest(request);
      if (payload.byteLength > peers.maxPayloadBytes) return { status: 'tooLarge', data: '' };
      const answer = await peers.request(instanceId, payload, timeoutMs);
      switch (answer.kind) {
        case 'answer':
          return decodeAnswer(answer.payload);
        case 'nobody':
          return { status: (await leases.isHeld(instanceId)) === false ? 'gone' : 'cutOff', data: '' };
        case 'timeout':
          return { status: 'timeout', data: '' };
        case 'down':
          return { status: 'down', data: '' };
      }
    },
  };
}
