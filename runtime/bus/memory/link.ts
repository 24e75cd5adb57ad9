/** One bus's connection to its broker: up while the bus is started and the broker is not down. */

import { HydrogenError } from '../../errors.ts';
import type { BusStatus } from '../port/bus.ts';

/** Takes the place of the server that all links of a broker share. */
export interface MemoryServer {
  isDown: boolean;
  readonly maxPayloadBytes: number;
}

export class MemoryLink {
  readonly #server: MemoryServer;
  readonly #listeners: ((status: BusStatus) => void)[] = [];
  #state: 'new' | 'started' | 'stopped' = 'new';
  #lastStatus: BusStatus = 'down';

  constructor(server: MemoryServer) {
    this.#server = server;
  }

  get state(): 'new' | 'started' | 'stopped' {
    return this.#state;
  }

  get status(): BusStatus {
    if (this.#state === 'stopped') return 'stopped';
    return this.isUp ? 'up' : 'down';
  }

  get isUp(): boolean {
    return this.#state === 'started' && !this.#server.isDown;
  }

  get maxPayloadBytes(): number {
    return this.#server.maxPayloadBytes;
  }

  onStatus(listener: (status: BusStatus) => void): void {
    this.#listeners.push(listener);
  }

  start(): void {
    this.#state = 'started';
  }

  stop(): void {
    this.#state = 'stopped';
  }

  /** Notifies the listeners when the status has changed. */
  refresh(): void {
    const { status } = this;
    if (status === this.#lastStatus) return;
    this.#lastStatus = status;
    for (const listener of this.#listeners) listener(status);
  }

  /** @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE */
  checkSize(payload: Uint8Array): void {
    if (payload.byteLength <= this.maxPayloadBytes) return;
    throw new HydrogenError(
      'HYD_MESSAGE_TOO_LARGE',
      `${payload.byteLength} bytes, the bus accepts ${this.maxPayloadBytes}`,
    );
  }

  /** @throws {HydrogenError} HYD_BUS_UNREACHABLE */
  checkUp(): void {
    if (!this.isUp) throw new HydrogenError('HYD_BUS_UNREACHABLE');
  }
}
