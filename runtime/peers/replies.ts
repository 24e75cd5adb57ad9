/**
 * Replies on their way to the gateways that own their connections: those to one gateway that come in one turn of the event
 * loop travel in one request. A gateway of a release that does not know such requests gets its replies one by one.
 */

import { formAtTurnEnd } from '../../process/turn.ts';
import type { OwnerStatus, PushOutcome, PushStatus } from '../push-status.ts';
import { decodeStatuses, encodeReplies } from './codec.ts';

interface Waiting {
  /** One reply as a request of its own. */
  readonly request: Uint8Array;
  readonly resolve: (outcome: PushOutcome) => void;
}

interface Batch {
  readonly waiting: Waiting[];
  bytes: number;
}

const maxReplies = 256;
const maxBytes = 64 * 1024;
/** Gateways that are remembered for not knowing batches. */
const maxOld = 1024;

export class Replies {
  readonly #exchange: (instanceId: string, payload: Uint8Array) => Promise<PushOutcome>;
  readonly #batches = new Map<string, Batch>();
  readonly #old = new Set<string>();

  /** @param exchange sends a request to a gateway. Must not reject */
  constructor(exchange: (instanceId: string, payload: Uint8Array) => Promise<PushOutcome>) {
    this.#exchange = exchange;
  }

  /** Never rejects. @param request a reply, encoded as a request of its own */
  send(instanceId: string, request: Uint8Array): Promise<PushOutcome> {
    if (this.#old.has(instanceId) || request.byteLength > maxBytes) {
      // What was sent before it goes before it.
      this.#flush(instanceId);
      return this.#exchange(instanceId, request);
    }
    return new Promise((resolve) => {
      const batch = this.#batchFor(instanceId, request.byteLength);
      batch.waiting.push({ request, resolve });
      batch.bytes += request.byteLength;
    });
  }

  /** The batch of this turn, or a new one if it has no room. */
  #batchFor(instanceId: string, bytes: number): Batch {
    const current = this.#batches.get(instanceId);
    if (current !== undefined && current.waiting.length < maxReplies && current.bytes + bytes <= maxBytes)
      return current;
    if (current === undefined) formAtTurnEnd(() => this.#flush(instanceId));
    else void this.#deliver(instanceId, current.waiting);
    const batch: Batch = { waiting: [], bytes: 0 };
    this.#batches.set(instanceId, batch);
    return batch;
  }

  #flush(instanceId: string): void {
    const batch = this.#batches.get(instanceId);
    this.#batches.delete(instanceId);
    if (batch !== undefined) void this.#deliver(instanceId, batch.waiting);
  }

  async #deliver(instanceId: string, waiting: readonly Waiting[]): Promise<void> {
    if (waiting.length === 1) return this.#deliverEach(instanceId, waiting);
    const outcome = await this.#exchange(instanceId, encodeReplies(waiting.map(({ request }) => request)));
    if (outcome.status === 'invalid') {
      // Nothing was sent to any client.
      if (this.#old.size >= maxOld) this.#old.clear();
      this.#old.add(instanceId);
      return this.#deliverEach(instanceId, waiting);
    }
    const statuses = outcome.status === 'done' ? decodeStatuses(outcome.data) : [];
    waiting.forEach(({ resolve }, i) => {
      resolve({ status: statusOf(outcome.status, statuses[i]), data: '' });
    });
  }

  async #deliverEach(instanceId: string, waiting: readonly Waiting[]): Promise<void> {
    for (const { request, resolve } of waiting) void this.#exchange(instanceId, request).then(resolve);
  }
}

/** The outcome of one reply of a batch. */
function statusOf(batch: PushStatus, one: OwnerStatus | undefined): PushStatus {
  return batch === 'done' ? (one ?? 'invalid') : batch;
}
