/** Requests and broadcasts between the processes of a group, over core NATS: nothing of them is stored. */

import { HydrogenError } from '../../errors.ts';
import type { PeerAnswer, PeerBus } from '../port/peers.ts';
import type { Subjects } from '../subjects.ts';
import type { Link } from './connection.ts';
import type { PayloadLimit } from './payload-limit.ts';
import type { Requests } from './requests.ts';

export class NatsPeers implements PeerBus {
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #subjects: Subjects;
  readonly #limit: PayloadLimit;

  constructor(link: Link, requests: Requests, subjects: Subjects, limit: PayloadLimit) {
    this.#link = link;
    this.#requests = requests;
    this.#subjects = subjects;
    this.#limit = limit;
  }

  get maxPayloadBytes(): number {
    return this.#limit.bytes;
  }

  serve(instanceId: string, handler: (payload: Uint8Array) => Promise<Uint8Array>): void {
    this.#link.subscribe(this.#subjects.instance(instanceId), ({ data, reply }) => {
      void handler(data).then((body) => reply !== undefined && this.#link.publish(reply, body));
    });
  }

  async request(instanceId: string, payload: Uint8Array, timeoutMs: number): Promise<PeerAnswer> {
    this.#limit.check(payload);
    const outcome = await this.#requests.send(this.#subjects.instance(instanceId), payload, timeoutMs);
    return outcome.kind === 'answer' ? { kind: 'answer', payload: outcome.msg.data } : outcome;
  }

  broadcast(payload: Uint8Array): void {
    this.#limit.check(payload);
    if (!this.#link.publish(this.#subjects.broadcast, payload)) throw new HydrogenError('HYD_BUS_UNREACHABLE');
  }

  onBroadcast(listener: (payload: Uint8Array) => void): void {
    this.#link.subscribe(this.#subjects.broadcast, ({ data }) => listener(data));
  }
}
