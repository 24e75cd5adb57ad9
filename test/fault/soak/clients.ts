/** Clients of a run: they connect, send numbered messages, leave or stay, and connect again when they are closed. */

import { setTimeout as pass } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Cast } from './cast.ts';
import { createRandom, type Random } from './random.ts';
import type { Recorder } from './recorder.ts';
import { writeMessage } from './services.ts';

export interface ClientOptions {
  readonly size: number;
  readonly seed: number;
  /** The first words of messages. */
  readonly rules: readonly string[];
  readonly endpoints: readonly string[];
  /** Whether clients may close their connections themselves, beside breaking them. */
  readonly isClosing: boolean;
}

const handshakeMs = 10_000;
const reconnectMs = 100;
const sendEveryMs = [100, 500] as const;
/** Now and then a client sends this many messages at once. */
const burst = 40;
const burstProbability = 1 / 100;
/** What a client does with a connection after some messages; mostly it keeps it. */
const leaveProbability = 1 / 3;
const leaveAfter = [5, 60] as const;
/** The share of those who leave by closing; the others break the connection. */
const closeProbability = 2 / 3;

export class SoakClients {
  readonly #cast: Cast;
  readonly #recorder: Recorder;
  readonly #options: ClientOptions;
  readonly #sockets = new Map<string, WebSocket>();
  readonly #running: Promise<void>[];
  #state: 'sending' | 'silent' | 'leaving' = 'sending';
  /** Attempts to connect that failed. */
  refusals = 0;

  constructor(cast: Cast, recorder: Recorder, options: ClientOptions) {
    this.#cast = cast;
    this.#recorder = recorder;
    this.#options = options;
    this.#running = Array.from({ length: options.size }, (_, index) => this.#run(index));
  }

  /** Names of the connections that are open. */
  get open(): string[] {
    return [...this.#sockets.keys()];
  }

  /** Sends nothing more; connections stay open, and those that are lost are not replaced. */
  silence(): void {
    this.#state = 'silent';
  }

  /** Closes every connection with 1000, and resolves when all have ended. */
  async leave(): Promise<void> {
    this.#state = 'leaving';
    await Promise.all(this.#running);
  }

  async #run(index: number): Promise<void> {
    const random = createRandom(this.#options.seed * 1_000 + index);
    for (let count = 1; this.#state === 'sending'; count++) {
      const isOpened = await this.#live(`c${index}-${count}`, random);
      if (!isOpened) this.refusals += 1;
      await pass(reconnectMs);
    }
  }

  /** One connection from beginning to end; resolves with false when it was refused. */
  async #live(connection: string, random: Random): Promise<boolean> {
    const { serving, gateways } = this.#cast;
    if (serving.length === 0) return false;
    const gateway = random.pick(serving);
    const seat = gateways.find(({ process }) => process === gateway)?.name ?? '';
    const url = gateway.url(`${random.pick(this.#options.endpoints)}?connection=${connection}`);
    const socket = new WebSocket(url, { handshakeTimeout: handshakeMs, perMessageDeflate: false });
    socket.on('error', () => {});
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    let isOpened = false;
    socket.once('open', () => {
      isOpened = true;
      this.#sockets.set(connection, socket);
      this.#recorder.note({ kind: 'opened', atMs: this.#recorder.nowMs(), connection, gateway: seat });
      void this.#send(socket, connection, random);
    });
    socket.on('message', (data) =>
      this.#recorder.note({ kind: 'received', atMs: this.#recorder.nowMs(), connection, push: data.toString() }),
    );
    const code = await closed;
    this.#sockets.delete(connection);
    if (isOpened) this.#recorder.note({ kind: 'closed', atMs: this.#recorder.nowMs(), connection, code });
    return isOpened;
  }

  async #send(socket: WebSocket, connection: string, random: Random): Promise<void> {
    const leaveAt = random.happens(leaveProbability) ? random.between(...leaveAfter) : Number.POSITIVE_INFINITY;
    let number = 0;
    while (this.#state !== 'leaving' && socket.readyState === WebSocket.OPEN) {
      const count = this.#state === 'silent' ? 0 : random.happens(burstProbability) ? burst : 1;
      for (let index = 0; index < count; index++) {
        number += 1;
        this.#recorder.note({ kind: 'sent', atMs: this.#recorder.nowMs(), connection, number });
        socket.send(writeMessage(random.pick(this.#options.rules), connection, number));
      }
      if (number >= leaveAt && this.#state === 'sending') break;
      await pass(random.between(...sendEveryMs));
    }
    if (socket.readyState !== WebSocket.OPEN) return;
    const isClosing = this.#state === 'leaving' || (this.#options.isClosing && random.happens(closeProbability));
    const by = isClosing ? 'client' : 'break';
    this.#recorder.note({ kind: 'closing', atMs: this.#recorder.nowMs(), connection, by });
    if (isClosing) socket.close(1000);
    else socket.terminate();
  }
}
