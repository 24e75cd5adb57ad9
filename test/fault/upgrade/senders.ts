/** Clients that keep sending numbered messages, and move from a gateway that is about to stop to another one. */

import { setTimeout as delay } from 'node:timers/promises';
import { type Client, connect } from '../../kit/client.ts';
import type { GatewayProcess } from '../../kit/hydrogen.ts';

/** Milliseconds in which a gateway has read what its clients had sent before they paused. */
const quietMs = 500;

export class Senders {
  readonly #everyMs: number;
  readonly #members: { client: Client; gateway: GatewayProcess }[] = [];
  readonly #sent: string[] = [];
  #pausedOn: GatewayProcess | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param everyMs how often each client sends two messages */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  get sent(): readonly string[] {
    return this.#sent;
  }

  async join(gateway: GatewayProcess, clients: number): Promise<void> {
    for (let n = 0; n < clients; n++) this.#members.push({ client: await connect(gateway.url('/chat')), gateway });
  }

  start(): void {
    this.#timer = setInterval(() => this.#sendAll(), this.#everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The clients of one gateway fall silent, until it has read everything from them. */
  async pause(gateway: GatewayProcess): Promise<void> {
    this.#pausedOn = gateway;
    await delay(quietMs);
  }

  /** The clients of one gateway connect to another one. */
  async move(from: GatewayProcess, to: GatewayProcess): Promise<void> {
    for (const member of this.#members) {
      if (member.gateway !== from) continue;
      await member.client[Symbol.asyncDispose]();
      member.client = await connect(to.url('/chat'));
      member.gateway = to;
    }
    this.#pausedOn = undefined;
  }

  async leave(): Promise<void> {
    for (const { client } of this.#members) await client[Symbol.asyncDispose]();
  }

  #sendAll(): void {
    for (const { client, gateway } of this.#members) {
      if (gateway === this.#pausedOn || client.socket.readyState !== client.socket.OPEN) continue;
      for (let n = 0; n < 2; n++) {
        const name = `m${this.#sent.length}`;
        this.#sent.push(name);
        client.send(name);
      }
    }
  }
}
