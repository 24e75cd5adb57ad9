/**
 * Leases as keys of a bucket whose entries expire `leaseMs` after they were last written. The bucket is an ordinary
 * NATS key-value store (`nats kv ls hydrogen_<group>_instances`).
 *
 * "Not held" causes connections to be declared gone, so it is returned only when it is certain: a released lease leaves
 * a marker, and an absent key counts only in a bucket that is older than a lease. A younger or missing bucket may have
 * lost its keys in a restart (`Memory` storage, or a lost disk), and the owners need time to claim their leases again.
 */

import type { StreamInfo } from 'nats';
import type { Lease, LeaseBus } from '../port/leases.ts';
import type { Subjects } from '../subjects.ts';
import type { Link } from './connection.ts';
import type { NatsCore } from './core.ts';
import { leaseHolders, leaseValue, readLease } from './lease-keys.ts';
import type { Requests } from './requests.ts';
import { ensureStream, leaseBucket } from './streams.ts';
import { headerBlock } from './wire.ts';

/** How a lease is written. */
interface Writer {
  readonly link: Link;
  readonly leaseMs: number;
  ensureBucket(): Promise<void>;
  /** False when it is not stored. */
  put(instanceId: string): Promise<boolean>;
  remove(instanceId: string): Promise<void>;
}

/** `onLost` is called after this share of the lease, so that the owner acts before others see it expired. */
const lossShare = 0.8;
const renewalsPerLease = 6;
const maxRequestMs = 5000;
const released = headerBlock([['KV-Operation', 'DEL']]);
const nothing = new Uint8Array(0);

export class NatsLeases implements LeaseBus {
  readonly #requests: Requests;
  readonly #subjects: Subjects;
  readonly #writer: Writer;
  readonly #bucket: string;
  readonly #claims = new Set<Claim>();
  /** True once the bucket was seen to be older than a lease on the current connection. */
  #isBucketOld = false;

  constructor({ link, requests, subjects, options: { leaseMs, stream } }: NatsCore) {
    const requestMs = Math.min(maxRequestMs, leaseMs / 4);
    this.#requests = requests;
    this.#subjects = subjects;
    this.#bucket = `KV_${subjects.leaseBucket}`;
    this.#writer = {
      link,
      leaseMs,
      ensureBucket: async () => void (await ensureStream(requests, leaseBucket(subjects, leaseMs, stream))),
      put: async (instanceId) => {
        const reply = await requests.send(this.#key(instanceId), leaseValue(), requestMs);
        return reply.kind === 'answer' && !('error' in (JSON.parse(reply.msg.string()) as object));
      },
      remove: async (instanceId) => void (await requests.send(this.#key(instanceId), nothing, requestMs, released)),
    };
    link.onStatus((status) => {
      if (status !== 'up') this.#isBucketOld = false;
    });
  }

  /** The instances of this process. */
  get instances(): string[] {
    return Array.from(this.#claims, ({ instanceId }) => instanceId);
  }

  hold(instanceId: string, onLost: () => void, onHeld: () => void = () => {}): Lease {
    this.#subjects.instance(instanceId);
    const onEnd = (): void => void this.#claims.delete(claim);
    const claim = new Claim(this.#writer, instanceId, { onLost, onHeld, onEnd });
    this.#claims.add(claim);
    claim.renew();
    return claim;
  }

  async isHeld(instanceId: string): Promise<boolean | undefined> {
    this.#subjects.instance(instanceId);
    try {
      const lease = await readLease(this.#requests, this.#subjects, instanceId);
      if (lease !== undefined) return !lease.isReleased;
      return (await this.#isOlderThanALease()) ? false : undefined;
    } catch {
      // Disconnected, or JetStream does not answer: unknown.
      return undefined;
    }
  }

  async addressable(): Promise<string[] | undefined> {
    try {
      const holders = await leaseHolders(this.#requests, this.#subjects);
      const leases = await Promise.all(holders.map((id) => readLease(this.#requests, this.#subjects, id)));
      return holders.filter((_, i) => leases[i]?.isReleased === false && leases[i].isAddressable);
    } catch {
      // As above; or there is no bucket yet.
      return undefined;
    }
  }

  /** Stops renewing; the leases expire by themselves. */
  stop(): void {
    for (const claim of this.#claims) claim.end();
  }

  #key(instanceId: string): string {
    return `$KV.${this.#subjects.leaseBucket}.${instanceId}`;
  }

  async #isOlderThanALease(): Promise<boolean> {
    if (this.#isBucketOld) return true;
    const info = await this.#requests.api<StreamInfo & { ts?: string }>(`STREAM.INFO.${this.#bucket}`);
    const serverNowMs = info.ts === undefined ? Date.now() : Date.parse(info.ts);
    this.#isBucketOld = serverNowMs - Date.parse(info.created) > this.#writer.leaseMs;
    return this.#isBucketOld;
  }
}

interface ClaimEvents {
  onLost(): void;
  onHeld(): void;
  onEnd(): void;
}

/** The lease of one instance of this process. */
class Claim implements Lease {
  readonly instanceId: string;
  readonly #writer: Writer;
  readonly #events: ClaimEvents;
  readonly #forgetStatus: () => void;
  #state: 'claiming' | 'held' | 'ended' = 'claiming';
  /** False until the bucket exists, and after every failed write. */
  #hasBucket = false;
  #writing: Promise<void> | undefined;
  #renewTimer: NodeJS.Timeout | undefined;
  #lossTimer: NodeJS.Timeout | undefined;
  /** From when others may soon see it as expired, in `performance.now()`. */
  #lostAtMs = 0;

  constructor(writer: Writer, instanceId: string, events: ClaimEvents) {
    this.#writer = writer;
    this.instanceId = instanceId;
    this.#events = events;
    this.#forgetStatus = writer.link.onStatus((status) => {
      if (status === 'up') this.renew();
    });
  }

  // By the clock, because a process that was frozen may handle what its sockets bring before its timers.
  get isHeld(): boolean {
    return this.#state === 'held' && performance.now() < this.#lostAtMs;
  }

  async release(): Promise<void> {
    if (this.#state === 'ended') return;
    this.end();
    await this.#writing;
    await this.#writer.remove(this.instanceId);
  }

  end(): void {
    this.#state = 'ended';
    clearTimeout(this.#renewTimer);
    clearTimeout(this.#lossTimer);
    this.#forgetStatus();
    this.#events.onEnd();
  }

  renew(): void {
    clearTimeout(this.#renewTimer);
    if (this.#state === 'ended' || this.#writing !== undefined) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const { leaseMs } = this.#writer;
    const startedAtMs = performance.now();
    this.#hasBucket = this.#writer.link.isUp && (await this.#put().catch(() => false));
    if (this.#state === 'ended') return;
    if (this.#hasBucket) {
      const wasHeld = this.#state === 'held';
      this.#state = 'held';
      this.#lostAtMs = startedAtMs + leaseMs * lossShare;
      clearTimeout(this.#lossTimer);
      this.#lossTimer = setTimeout(() => this.#lose(), this.#lostAtMs - performance.now());
      if (!wasHeld) this.#events.onHeld();
    }
    const nextMs = this.#hasBucket ? leaseMs / renewalsPerLease : Math.min(500, leaseMs / 12);
    this.#renewTimer = setTimeout(() => this.renew(), nextMs);
  }

  async #put(): Promise<boolean> {
    if (!this.#hasBucket) await this.#writer.ensureBucket();
    return this.#writer.put(this.instanceId);
  }

  #lose(): void {
    this.#state = 'claiming';
    this.#events.onLost();
  }
}
