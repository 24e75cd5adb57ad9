/**
 * Knows which instances of the group hear what is asked of addresses, and when they have heard it.
 *
 * What is asked of a user or a channel reaches the instances that have members, and those without do not answer; so silence
 * may mean that there are no members, or that an instance is cut off. A fence separates the two: it is asked of every
 * instance, after the question, and each answers it after the question, because what one process asks is heard in order.
 * Whoever joins a fence shares it with all who join in the same round trip, so its cost grows with time and not with use.
 */

import { within } from '../../process/timing.ts';
import type { LeaseBus } from '../bus/port/leases.ts';
import type { Closable, PeerBus } from '../bus/port/peers.ts';

/** The parts of the bus that a fence needs. */
export interface FenceBus {
  readonly peers: PeerBus;
  readonly leases: LeaseBus;
}

/** What a fence found out. */
export interface Passed {
  /** Instances that hold a lease, or may do so, and did not answer in time. */
  readonly unanswered: ReadonlySet<string>;
}

interface Round {
  readonly answered: Set<string>;
  readonly waiting: ((passed: Passed) => void)[];
  asked: Closable | undefined;
  timer: NodeJS.Timeout | undefined;
  hasEnded: boolean;
}

const fenceTimeoutMs = 3_000;
/** After this, callers begin another round although the last one has not ended: it may be waiting for a silent instance. */
const patienceMs = 20;
const leaseTimeoutMs = 1_000;
/** Instances that are remembered: whoever reaches the bus can name as many as he likes. */
const maxKnown = 4_096;
const fence = { kind: 'fence' } as const;
const instancePattern = /^[0-9a-f]{12}$/;
/** What a payload begins with: `?` asks whoever hears it to answer, `-` says that the sender leaves. */
const marks = { asks: '?', leaves: '-' } as const;

export class Fence {
  readonly #bus: FenceBus;
  readonly #instanceId: string;
  /** Instances that are believed to hear us. */
  readonly #known = new Set<string>();
  /** Those of them that did not answer the last fence: nothing waits for them, and they count as unanswered. */
  readonly #silent = new Set<string>();
  #next: Round | undefined;
  /** True while a round is under way that whoever joins now should wait for before the next one begins. */
  #isBusy = false;

  constructor(bus: FenceBus, instanceId: string) {
    this.#bus = bus;
    this.#instanceId = instanceId;
    this.#known.add(instanceId);
  }

  /** Answers the fences of others from now on. */
  listen(): void {
    this.#bus.peers.listen(fence, (payload, respond) => {
      const sender = this.#read(payload);
      if (sender !== undefined) respond(Buffer.from(this.#instanceId));
    });
  }

  /**
   * Lets the others know of this instance, and learns who is there. Resolves after one fence or two; never rejects. Call it
   * whenever the bus has come up, and once the lease is held that connections need: of two instances that start together,
   * on different servers, neither may hear the other at first, but the later one finds the lease of the other.
   */
  async meet(): Promise<void> {
    const joined = this.join();
    const holders = (await this.#bus.leases.addressable()) ?? [];
    const isNews = holders.some((instanceId) => !this.#known.has(instanceId));
    for (const instanceId of holders) this.#know(instanceId);
    await joined;
    // The first fence may have left before they could hear it.
    if (isNews) await this.join();
  }

  /** Lets the others know that this instance will not answer any more. */
  leave(): void {
    this.#bus.peers.ask(fence, Buffer.from(marks.leaves + this.#instanceId), () => {})?.close();
  }

  /**
   * Resolves once every instance has heard what this process asked before this call, and every server of a NATS cluster
   * between them knows what this process listens to; after `fenceTimeoutMs` at most, and a second in which leases are read.
   * Never rejects.
   */
  join(): Promise<Passed> {
    return new Promise((resolve) => {
      this.#next ??= { answered: new Set(), waiting: [], asked: undefined, timer: undefined, hasEnded: false };
      this.#next.waiting.push(resolve);
      if (this.#next.waiting.length === 1 && !this.#isBusy) setImmediate(() => this.#begin());
    });
  }

  #begin(): void {
    const round = this.#next;
    if (round === undefined || this.#isBusy) return;
    this.#next = undefined;
    this.#isBusy = true;
    const patience = setTimeout(() => this.#free(), patienceMs);
    round.timer = setTimeout(() => {
      this.#end(round, patience);
      this.#close(round);
    }, fenceTimeoutMs);
    const payload = Buffer.from(marks.asks + this.#instanceId);
    round.asked = this.#bus.peers.ask(fence, payload, (answer) => {
      const instanceId = Buffer.from(answer).toString('latin1');
      if (!instancePattern.test(instanceId)) return;
      this.#know(instanceId);
      round.answered.add(instanceId);
      if (this.#isComplete(round)) this.#end(round, patience);
    });
    if (round.asked === undefined) this.#end(round, patience);
  }

  #isComplete({ answered }: Round): boolean {
    for (const instanceId of this.#known) {
      if (!answered.has(instanceId) && !this.#silent.has(instanceId)) return false;
    }
    return true;
  }

  #end(round: Round, patience: NodeJS.Timeout): void {
    clearTimeout(patience);
    // A silent instance that is back is heard within the time-out.
    if (this.#silent.size === 0 || round.asked === undefined) this.#close(round);
    if (round.hasEnded) return;
    round.hasEnded = true;
    this.#free();
    void this.#unanswered(round).then((unanswered) => {
      for (const resolve of round.waiting) resolve({ unanswered });
    });
  }

  #close(round: Round): void {
    clearTimeout(round.timer);
    round.asked?.close();
  }

  #free(): void {
    this.#isBusy = false;
    if (this.#next !== undefined) this.#begin();
  }

  /** Forgets the instances whose lease is over. */
  async #unanswered({ answered }: Round): Promise<Set<string>> {
    const missing = [...this.#known].filter((instanceId) => !answered.has(instanceId));
    if (missing.length === 0) return new Set();
    const held = await Promise.all(missing.map((id) => within(leaseTimeoutMs, this.#bus.leases.isHeld(id))));
    const unanswered = missing.filter((_, i) => held[i] !== false);
    for (const instanceId of missing) {
      if (unanswered.includes(instanceId)) this.#silent.add(instanceId);
      else this.#forget(instanceId);
    }
    return new Set(unanswered);
  }

  /** The sender of a question; undefined when there is nothing to answer. */
  #read(payload: Uint8Array): string | undefined {
    const text = Buffer.from(payload.subarray(0, 32)).toString('latin1');
    const instanceId = text.slice(1);
    if (!instancePattern.test(instanceId)) return undefined;
    if (text[0] === marks.leaves) {
      this.#forget(instanceId);
      return undefined;
    }
    if (text[0] !== marks.asks) return undefined;
    this.#know(instanceId);
    return instanceId;
  }

  #know(instanceId: string): void {
    if (this.#known.size >= maxKnown) return;
    this.#known.add(instanceId);
    this.#silent.delete(instanceId);
  }

  #forget(instanceId: string): void {
    if (instanceId === this.#instanceId) return;
    this.#known.delete(instanceId);
    this.#silent.delete(instanceId);
  }
}
