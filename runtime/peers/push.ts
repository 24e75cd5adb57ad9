/**
 * Reaching a connection of the group from any process of it. The id names its owner, so there is no look-up: here if it
 * is ours, else one request over the bus. The results are what the management API promises to be true.
 */

import type { LeaseBus } from '../bus/port/leases.ts';
import type { PeerBus } from '../bus/port/peers.ts';
import { decodeAnswer, encodeRequest, type OwnerRequest, type OwnerStatus } from './codec.ts';

/**
 * `timeout`: the owner did not answer, so it may or may not have happened. `cut-off`: the owner's lease is held but it
 * can't be reached, or that can't be known: nothing happened. `down`: the bus is down: nothing happened.
 */
export type PushStatus = OwnerStatus | 'timeout' | 'cut-off' | 'down';

export interface PushOutcome {
  readonly status: PushStatus;
  /** What the owner says of the connection, for `describe`: JSON. */
  readonly data: string;
}

export interface Push {
  /** The connection id must be well-formed: see `isConnectionId`. Never rejects. */
  ask(request: OwnerRequest): Promise<PushOutcome>;
}

/** Does what a request asks of a connection that this process owns. */
export type Owner = (request: OwnerRequest) => Promise<{ status: OwnerStatus; data?: string }>;

const connectionId = /^[0-9a-f]{12}-[0-9a-f]{32}$/;

/** Whether a gateway could have given out this id. Nothing else becomes part of a subject. */
export function isConnectionId(id: string): boolean {
  return connectionId.test(id);
}

/** The parts of the bus that a push needs. */
export interface PushBus {
  readonly peers: PeerBus;
  readonly leases: LeaseBus;
}

/** @param local who owns the connections of `instanceId` in this process, if anybody. */
export function createPush(
  { peers, leases }: PushBus,
  timeoutMs: number,
  local?: { instanceId: string; owner: Owner },
): Push {
  return {
    async ask(request) {
      const instanceId = request.connectionId.slice(0, request.connectionId.indexOf('-'));
      if (local !== undefined && instanceId === local.instanceId) {
        return within(timeoutMs, local.owner(request));
      }
      const payload = encodeRequest(request);
      if (payload.byteLength > peers.maxPayloadBytes) return { status: 'too-large', data: '' };
      const answer = await peers.request(instanceId, payload, timeoutMs);
      switch (answer.kind) {
        case 'answer':
          return decodeAnswer(answer.payload);
        case 'nobody':
          return { status: (await leases.isHeld(instanceId)) === false ? 'gone' : 'cut-off', data: '' };
        case 'timeout':
          return { status: 'timeout', data: '' };
        case 'down':
          return { status: 'down', data: '' };
      }
    },
  };
}

/** A client that does not read keeps its owner waiting; the answer is then the same as another gateway would get. */
async function within(timeoutMs: number, work: ReturnType<Owner>): Promise<PushOutcome> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<PushOutcome>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, { status: 'timeout', data: '' });
  });
  const { status, data = '' } = await Promise.race([work, late]);
  clearTimeout(timer);
  return { status, data };
}
