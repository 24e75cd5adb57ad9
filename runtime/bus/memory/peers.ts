/** Requests and broadcasts between the buses of one process. */

import type { Address, Closable, PeerAnswer, PeerBus } from '../port/peers.ts';
import type { Subjects } from '../subjects.ts';
import type { MemoryLink } from './link.ts';

interface Served {
  readonly link: MemoryLink;
  readonly handle: (payload: Uint8Array) => Promise<Uint8Array>;
}

interface Listener {
  readonly link: MemoryLink;
  readonly handle: (payload: Uint8Array, respond: (answer: Uint8Array) => void) => void;
}

/** The handler of each instance, and who hears broadcasts and addresses; shared by all buses of a broker. */
export interface Switchboard {
  readonly served: Map<string, Served>;
  readonly started: Set<MemoryPeers>;
  /** By the subject of the address. */
  readonly listeners: Map<string, Set<Listener>>;
}

export class MemoryPeers implements PeerBus {
  readonly #link: MemoryLink;
  readonly #switchboard: Switchboard;
  readonly #subjects: Subjects;
  readonly #listeners: ((payload: Uint8Array) => void)[] = [];

  constructor(link: MemoryLink, switchboard: Switchboard, subjects: Subjects) {
    this.#link = link;
    this.#switchboard = switchboard;
    this.#subjects = subjects;
  }

  get maxPayloadBytes(): number {
    return this.#link.maxPayloadBytes;
  }

  serve(instanceId: string, handle: (payload: Uint8Array) => Promise<Uint8Array>): void {
    this.#subjects.instance(instanceId);
    this.#switchboard.served.set(instanceId, { link: this.#link, handle });
  }

  async request(instanceId: string, payload: Uint8Array, timeoutMs: number): Promise<PeerAnswer> {
    this.#subjects.instance(instanceId);
    this.#link.checkSize(payload);
    if (!this.#link.isUp) return { kind: 'down' };
    const served = this.#switchboard.served.get(instanceId);
    if (served === undefined || !served.link.isUp) return { kind: 'nobody' };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<PeerAnswer>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, { kind: 'timeout' });
    });
    const answer = served.handle(payload).then((body): PeerAnswer | Promise<PeerAnswer> => {
      return body.byteLength > this.maxPayloadBytes ? late : { kind: 'answer', payload: body };
    });
    return Promise.race([answer, late]).finally(() => clearTimeout(timer));
  }

  async broadcast(payload: Uint8Array): Promise<void> {
    this.#link.checkSize(payload);
    this.#link.checkUp();
    setImmediate(() => {
      for (const peers of this.#switchboard.started) peers.#hear(payload);
    });
  }

  onBroadcast(listener: (payload: Uint8Array) => void): void {
    this.#listeners.push(listener);
  }

  listen(address: Address, handle: Listener['handle']): Closable {
    const subject = this.#subjects.address(address);
    const { listeners } = this.#switchboard;
    const one: Listener = { link: this.#link, handle };
    const all = listeners.get(subject) ?? new Set();
    listeners.set(subject, all.add(one));
    return {
      close: () => {
        all.delete(one);
        if (all.size === 0 && listeners.get(subject) === all) listeners.delete(subject);
      },
    };
  }

  ask(address: Address, payload: Uint8Array, onAnswer: (answer: Uint8Array) => void): Closable | undefined {
    const subject = this.#subjects.address(address);
    this.#link.checkSize(payload);
    if (!this.#link.isUp) return undefined;
    let isOpen = true;
    const respond = (answer: Uint8Array): void => {
      if (answer.byteLength > this.maxPayloadBytes) return;
      setImmediate(() => {
        if (isOpen && this.#link.isUp) onAnswer(answer);
      });
    };
    setImmediate(() => {
      for (const { link, handle } of [...(this.#switchboard.listeners.get(subject) ?? [])]) {
        if (link.isUp) handle(payload, respond);
      }
    });
    return {
      close: () => {
        isOpen = false;
      },
    };
  }

  async confirm(): Promise<boolean> {
    return this.#link.isUp;
  }

  start(): void {
    this.#switchboard.started.add(this);
  }

  stop(): void {
    const { served, started } = this.#switchboard;
    for (const [id, { link }] of served) if (link === this.#link) served.delete(id);
    started.delete(this);
  }

  #hear(payload: Uint8Array): void {
    if (this.#link.isUp) for (const listener of this.#listeners) listener(payload);
  }
}
