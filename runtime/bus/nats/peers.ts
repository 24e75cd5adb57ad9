/** Requests and broadcasts between the processes of a group, over core NATS: nothing is stored. */

import { HydrogenError } from '../../errors.ts';
import type { PeerAnswer, PeerBus } from '../port/peers.ts';
import type { NatsCore } from './core.ts';

export class NatsPeers implements PeerBus {
  readonly #core: NatsCore;

  constructor(core: NatsCore) {
    this.#core = core;
  }

  get maxPayloadBytes(): number {
    return this.#core.limit.bytes;
  }

  serve(instanceId: string, handler: (payload: Uint8Array) => Promise<Uint8Array>): void {
    const { link, limit, subjects } = this.#core;
    link.subscribe(subjects.instance(instanceId), ({ data, reply }) => {
      void handler(data).then((body) => {
        // The package turns a missing reply subject into an empty string.
        if (reply && body.byteLength <= limit.bytes) link.publish(reply, body);
      });
    });
  }

  async request(instanceId: string, payload: Uint8Array, timeoutMs: number): Promise<PeerAnswer> {
    this.#core.limit.check(payload);
    const outcome = await this.#core.requests.send(this.#core.subjects.instance(instanceId), payload, timeoutMs);
    return outcome.kind === 'answer' ? { kind: 'answer', payload: outcome.msg.data } : outcome;
  }

  broadcast(payload: Uint8Array): void {
    this.#core.limit.check(payload);
    if (!this.#core.link.publish(this.#core.subjects.broadcast, payload))
      throw new HydrogenError('HYD_BUS_UNREACHABLE');
  }

  onBroadcast(listener: (payload: Uint8Array) => void): void {
    this.#core.link.subscribe(this.#core.subjects.broadcast, ({ data }) => listener(data));
  }
}
