/** The leases of the memory bus: held while their bus is up, and expired `leaseMs` after it went down or stopped. */

import type { Lease, LeaseBus } from '../port/leases.ts';
import type { Subjects } from '../subjects.ts';
import type { MemoryLink } from './link.ts';

/** An owner learns of its loss after this share of the lease, so that it acts before others see it expired. */
const lossShare = 0.8;

/** Shared by all buses of a broker. */
export class LeaseStore {
  readonly #leaseMs: number;
  readonly #leases = new Map<string, MemoryLease>();
  #isDown = false;

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  hold(instanceId: string, link: MemoryLink, onLost: () => void, onHeld: () => void): Lease {
    const onEnd = (): void => {
      if (this.#leases.get(instanceId) === lease) this.#leases.delete(instanceId);
    };
    const lease = new MemoryLease(link, this.#leaseMs, { onLost, onHeld, onEnd });
    this.#leases.get(instanceId)?.supersede();
    this.#leases.set(instanceId, lease);
    if (this.#isDown) lease.suspend();
    setImmediate(onHeld);
    return lease;
  }

  isHeld(instanceId: string): boolean {
    const lease = this.#leases.get(instanceId);
    return lease !== undefined && lease.expiresAtMs > Date.now();
  }

  held(): string[] {
    return [...this.#leases.keys()].filter((instanceId) => this.isHeld(instanceId));
  }

  /** The bus ended without releasing its leases: they expire by themselves. */
  abandon(link: MemoryLink): void {
    for (const lease of this.#leases.values()) if (lease.link === link) lease.abandon();
  }

  /** While down nothing is renewed. */
  setDown(isDown: boolean): void {
    this.#isDown = isDown;
    for (const lease of this.#leases.values()) {
      if (isDown) lease.suspend();
      else lease.renew();
    }
  }
}

interface LeaseEvents {
  onLost(): void;
  onHeld(): void;
  /** Called once it is released. */
  onEnd(): void;
}

class MemoryLease implements Lease {
  readonly link: MemoryLink;
  readonly #leaseMs: number;
  readonly #events: LeaseEvents;
  #state: 'held' | 'lost' | 'ended' = 'held';
  #expiresAtMs = Number.POSITIVE_INFINITY;
  #lossTimer: NodeJS.Timeout | undefined;

  constructor(link: MemoryLink, leaseMs: number, events: LeaseEvents) {
    this.link = link;
    this.#leaseMs = leaseMs;
    this.#events = events;
  }

  get isHeld(): boolean {
    return this.#state === 'held';
  }

  get expiresAtMs(): number {
    return this.#expiresAtMs;
  }

  async release(): Promise<void> {
    this.supersede();
    this.#events.onEnd();
  }

  /** Stops renewing it for now. */
  suspend(): void {
    if (this.#expiresAtMs !== Number.POSITIVE_INFINITY) return;
    this.#expiresAtMs = Date.now() + this.#leaseMs;
    this.#lossTimer = setTimeout(() => {
      this.#state = 'lost';
      this.#events.onLost();
    }, this.#leaseMs * lossShare).unref();
  }

  renew(): void {
    if (this.#state === 'ended') return;
    clearTimeout(this.#lossTimer);
    this.#expiresAtMs = Number.POSITIVE_INFINITY;
    const wasLost = this.#state === 'lost';
    this.#state = 'held';
    if (wasLost) this.#events.onHeld();
  }

  /** Its owner is gone: lets it expire without reporting the loss. */
  abandon(): void {
    this.suspend();
    this.supersede();
  }

  /** Another claim replaced it, or it was released. */
  supersede(): void {
    this.#state = 'ended';
    clearTimeout(this.#lossTimer);
  }
}

export class MemoryLeases implements LeaseBus {
  readonly #link: MemoryLink;
  readonly #leases: LeaseStore;
  readonly #subjects: Subjects;

  constructor(link: MemoryLink, leases: LeaseStore, subjects: Subjects) {
    this.#link = link;
    this.#leases = leases;
    this.#subjects = subjects;
  }

  hold(instanceId: string, onLost: () => void, onHeld: () => void = () => {}): Lease {
    this.#subjects.instance(instanceId);
    return this.#leases.hold(instanceId, this.#link, onLost, onHeld);
  }

  async isHeld(instanceId: string): Promise<boolean | undefined> {
    this.#subjects.instance(instanceId);
    return this.#link.isUp ? this.#leases.isHeld(instanceId) : undefined;
  }

  async addressable(): Promise<string[] | undefined> {
    return this.#link.isUp ? this.#leases.held() : undefined;
  }

  stop(): void {
    this.#leases.abandon(this.#link);
  }
}
