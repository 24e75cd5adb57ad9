/**
 * Reaches a connection of the group from any of its processes. The id names its owner, so there is no look-up: here if
 * it is ours, else one request over the bus. The management API promises that these results are true.
 */

import { within } from '../../process/timing.ts';
import type { LeaseBus } from '../bus/port/leases.ts';
import type { PeerAnswer, PeerBus } from '../bus/port/peers.ts';
import type { OwnerStatus, PushOutcome } from '../push-status.ts';
import { decodeAnswer, encodeRequest, type OwnerRequest } from './codec.ts';
import { isConnectionId } from './connection-id.ts';
import { Replies } from './replies.ts';

export interface Push {
  /** An id that no gateway gives out is `gone`. Never rejects. */
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

/** The parts of the bus that a push needs. */
export interface PushBus {
  readonly peers: PeerBus;
  readonly leases: LeaseBus;
}

/** How long the lease of an owner that does not answer may take to be read. */
const leaseTimeoutMs = 1000;
/** Silent instances that are remembered. */
const maxSilent = 1024;

/** @param local the owner of the connections of `instanceId` in this process, if there is one. */
export function createPush(
  bus: PushBus,
  timeoutMs: number,
  local?: { readonly instanceId: string; readonly owner: Owner },
): Push {
  const remote = new RemotePush(bus, timeoutMs);
  return {
    async ask(request) {
      if (!isConnectionId(request.connectionId)) return { status: 'gone', data: '' };
      const instanceId = request.connectionId.slice(0, request.connectionId.indexOf('-'));
      if (instanceId !== local?.instanceId) return remote.ask(instanceId, request);
      // A client that does not read keeps its owner waiting; the answer is then the same as for another gateway.
      const answer = await within(timeoutMs, local.owner.answer(request));
      return { status: 'timeout', data: '', ...answer };
    },
  };
}

/** Pushes to connections that other processes own. */
class RemotePush {
  readonly #bus: PushBus;
  readonly #timeoutMs: number;
  /** Instances that did not answer their last request. A hint only: their lease is read before the next request. */
  readonly #silent = new Set<string>();
  /** Leases that are being read, so that requests to an instance wait for the same answer and keep their order. */
  readonly #leases = new Map<string, Promise<boolean>>();
  readonly #replies = new Replies((instanceId, payload) => this.#exchange(instanceId, payload));

  constructor(bus: PushBus, timeoutMs: number) {
    this.#bus = bus;
    this.#timeoutMs = timeoutMs;
  }

  async ask(instanceId: string, request: OwnerRequest): Promise<PushOutcome> {
    const payload = encodeRequest(request);
    if (payload.byteLength > this.#bus.peers.maxPayloadBytes) return { status: 'tooLarge', data: '' };
    return request.kind === 'reply' ? this.#replies.send(instanceId, payload) : this.#exchange(instanceId, payload);
  }

  async #exchange(instanceId: string, payload: Uint8Array): Promise<PushOutcome> {
    // Before it is sent: an owner that wakes up must not write to a client what was answered with `gone`.
    if (this.#silent.has(instanceId) && (await this.#isOver(instanceId))) return { status: 'gone', data: '' };
    const answer = await this.#bus.peers.request(instanceId, payload, this.#timeoutMs);
    this.#note(instanceId, answer.kind);
    switch (answer.kind) {
      case 'answer':
        return decodeAnswer(answer.payload);
      case 'nobody':
        return { status: (await this.#isOver(instanceId)) ? 'gone' : 'cutOff', data: '' };
      case 'timeout':
        // An owner whose lease is over writes nothing to its connections any more and closes them, also when it wakes up.
        return { status: (await this.#isOver(instanceId)) ? 'gone' : 'timeout', data: '' };
      case 'down':
        return { status: 'down', data: '' };
    }
  }

  #note(instanceId: string, kind: PeerAnswer['kind']): void {
    if (kind !== 'timeout') {
      this.#silent.delete(instanceId);
      return;
    }
    if (this.#silent.size >= maxSilent) this.#silent.clear();
    this.#silent.add(instanceId);
  }

  /** True only when the lease is known not to be held. */
  #isOver(instanceId: string): Promise<boolean> {
    const reading = this.#leases.get(instanceId) ?? this.#readLease(instanceId);
    this.#leases.set(instanceId, reading);
    return reading;
  }

  async #readLease(instanceId: string): Promise<boolean> {
    const isHeld = await within(leaseTimeoutMs, this.#bus.leases.isHeld(instanceId));
    this.#leases.delete(instanceId);
    return isHeld === false;
  }
}
