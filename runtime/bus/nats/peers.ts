/** Requests and broadcasts between the processes of a group, over core NATS: nothing is stored. */

import { HydrogenError } from '../../errors.ts';
import type { Address, Closable, PeerAnswer, PeerBus } from '../port/peers.ts';
import type { NatsCore } from './core.ts';
import { Flushes } from './flushes.ts';

/** How long the server may take to confirm broadcasts; one may have to wait for the confirmation of others first. */
const flushTimeoutMs = 2500;

export class NatsPeers implements PeerBus {
  readonly #core: NatsCore;
  readonly #flushes: Flushes;

  constructor(core: NatsCore) {
    this.#core = core;
    this.#flushes = new Flushes(() => core.requests.confirm(flushTimeoutMs));
  }

  get maxPayloadBytes(): number {
    return this.#core.limit.bytes;
  }

  serve(instanceId: string, handler: (payload: Uint8Array) => Promise<Uint8Array>): void {
    const { link, subjects } = this.#core;
    link.subscribe(subjects.instance(instanceId), ({ data, reply }) => {
      void handler(data).then((body) => this.#respond(reply, body));
    });
  }

  async request(instanceId: string, payload: Uint8Array, timeoutMs: number): Promise<PeerAnswer> {
    this.#core.limit.check(payload);
    const outcome = await this.#core.requests.send(this.#core.subjects.instance(instanceId), payload, timeoutMs);
    return outcome.kind === 'answer' ? { kind: 'answer', payload: outcome.msg.data } : { kind: outcome.kind };
  }

  async broadcast(payload: Uint8Array): Promise<void> {
    const { limit, link, subjects } = this.#core;
    limit.check(payload);
    if (!link.publish(subjects.broadcast, payload)) throw new HydrogenError('HYD_BUS_UNREACHABLE');
    if (await this.#flushes.join()) return;
    throw new HydrogenError('HYD_BUS_UNREACHABLE', 'the server did not confirm the broadcast');
  }

  onBroadcast(listener: (payload: Uint8Array) => void): void {
    this.#core.link.subscribe(this.#core.subjects.broadcast, ({ data }) => listener(data));
  }

  listen(address: Address, handler: (payload: Uint8Array, respond: (answer: Uint8Array) => void) => void): Closable {
    const { link, subjects } = this.#core;
    return link.subscribe(subjects.address(address), ({ data, reply }) =>
      handler(data, (answer) => this.#respond(reply, answer)),
    );
  }

  ask(address: Address, payload: Uint8Array, onAnswer: (answer: Uint8Array) => void): Closable | undefined {
    const { limit, requests, subjects } = this.#core;
    limit.check(payload);
    return requests.open(subjects.address(address), payload, onAnswer);
  }

  confirm(): Promise<boolean> {
    return this.#flushes.join();
  }

  // The package turns a missing reply subject into an empty string.
  #respond(subject: string | undefined, answer: Uint8Array): void {
    const { link, limit } = this.#core;
    if (subject && answer.byteLength <= limit.bytes) link.publish(subject, answer);
  }
}
