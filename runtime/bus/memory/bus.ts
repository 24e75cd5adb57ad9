/** One bus of a memory broker: the five parts of the port, over the state that all buses of the broker share. */

import type { Bus, BusStatus } from '../port/bus.ts';
import type { PublishLimits } from '../port/pressure.ts';
import { createSubjects } from '../subjects.ts';
import { type LetterStore, MemoryDeadLetters } from './dead-letters.ts';
import { type LeaseStore, MemoryLeases } from './leases.ts';
import { MemoryLink, type MemoryServer } from './link.ts';
import { MemoryMessages } from './messages.ts';
import { MemoryPeers, type Switchboard } from './peers.ts';
import type { MessageStore } from './store.ts';
import { MemoryWaiting, type WaitingStore } from './waiting.ts';

/** Shared by all buses of a broker. */
export interface Broker {
  readonly server: MemoryServer;
  readonly store: MessageStore;
  readonly waiting: WaitingStore;
  readonly letters: LetterStore;
  readonly switchboard: Switchboard;
  readonly leases: LeaseStore;
  readonly limits: PublishLimits;
}

export class MemoryBus implements Bus {
  readonly messages: MemoryMessages;
  readonly deadLetters: MemoryDeadLetters;
  readonly waiting: MemoryWaiting;
  readonly peers: MemoryPeers;
  readonly leases: MemoryLeases;
  readonly #store: MessageStore;
  readonly #link: MemoryLink;

  constructor({ server, store, waiting, letters, switchboard, leases, limits }: Broker) {
    const subjects = createSubjects('memory');
    this.#store = store;
    this.#link = new MemoryLink(server);
    this.messages = new MemoryMessages(this.#link, store, waiting, subjects, limits);
    this.deadLetters = new MemoryDeadLetters(this.#link, letters, store);
    this.waiting = new MemoryWaiting(this.#link, waiting);
    this.peers = new MemoryPeers(this.#link, switchboard, subjects);
    this.leases = new MemoryLeases(this.#link, leases, subjects);
    store.onChange(() => {
      if (this.#link.state === 'stopped') return;
      this.#refresh();
      if (this.#link.state === 'started') this.messages.notifyConsumers();
    });
  }

  get status(): BusStatus {
    return this.#link.status;
  }

  onStatus(listener: (status: BusStatus) => void): void {
    this.#link.onStatus(listener);
  }

  async start(): Promise<void> {
    if (this.#link.state !== 'new') return;
    this.#link.start();
    this.peers.start();
    this.#store.wake();
  }

  async stop(): Promise<void> {
    if (this.#link.state === 'stopped') return;
    this.#link.stop();
    this.peers.stop();
    this.leases.stop();
    this.messages.stop();
    this.waiting.stop();
    this.#refresh();
  }

  #refresh(): void {
    this.#link.refresh();
    this.messages.weigh();
  }
}
