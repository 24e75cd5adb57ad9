/**
 * The replicas of one ordered processor: this one's lease, and which others live. Each writes a key in the bucket of owners
 * five times per lease, and hears the others write theirs. One that was silent for its lease is looked up once more before
 * it counts as lost, since this process may have been cut off or frozen itself.
 *
 * A replica whose lease could not be renewed in time holds it no longer, before any other may take its lanes: what decides is
 * `isHeld`, which compares clocks at each call, so that a process that was frozen sees it at once.
 */

import { randomUUID } from 'node:crypto';
import type { Msg, StreamInfo } from 'nats';
import type { Subscribed } from '../connection.ts';
import type { NatsCore } from '../core.ts';
import { isRefused, jetStreamCodes } from '../requests.ts';
import { ensureStream, ownerBucket } from '../streams.ts';
import { encodeRecord, type LaneRecord, type OwnerRecord, parseRecord } from './owner-record.ts';

export interface OwnersDeps {
  readonly processor: string;
  readonly leaseMs: number;
  /** What this replica says of its lanes, by the name of the consumer. */
  lanes(): ReadonlyMap<string, LaneRecord>;
  /** The lease, or who else lives, may have changed. */
  onChange(): void;
}

interface Other {
  record: OwnerRecord;
  heardAtMs: number;
  isLost: boolean;
}

interface StoredKey {
  readonly message: { readonly data?: string; readonly time: string };
}

const renewalsPerLease = 5;
/** The part of the lease for which a renewal counts in this process. */
const heldShare = 0.8;
/** The part of the lease that a renewal may take before it is sent again. */
const requestShare = 0.5;
const maxRequestMs = 5_000;
const maxOthers = 1_024;

export class Owners {
  /** Of this replica: one for each consumption. */
  readonly id = randomUUID();
  readonly #core: NatsCore;
  readonly #deps: OwnersDeps;
  readonly #prefix: string;
  readonly #bucket: string;
  readonly #others = new Map<string, Other>();
  readonly #subscription: Subscribed;
  readonly #forgetStatus: () => void;
  #state: 'joining' | 'joined' | 'left' = 'joining';
  #heldUntilMs = 0;
  #beat = 0;
  #writing: Promise<void> | undefined;
  #mustWrite = false;
  /** Whoever waits for what is known now to be stored. */
  #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lossTimer: NodeJS.Timeout | undefined;

  constructor(core: NatsCore, deps: OwnersDeps) {
    const { link, subjects } = core;
    this.#core = core;
    this.#deps = deps;
    this.#bucket = `KV_${subjects.ownerBucket}`;
    this.#prefix = `$KV.${subjects.ownerBucket}.${deps.processor}.`;
    this.#subscription = link.subscribe(`${this.#prefix}*`, (msg) => this.#hear(msg));
    this.#forgetStatus = link.onStatus((status) => {
      // Whoever wrote meanwhile was not heard.
      if (this.#state === 'joined') this.#state = 'joining';
      if (status === 'up') this.write();
    });
    this.write();
  }

  /** True while this replica may begin work on its lanes. */
  get isHeld(): boolean {
    return performance.now() < this.#heldUntilMs;
  }

  /** True once it is known who else lives, and the lease is held. */
  get isJoined(): boolean {
    return this.#state === 'joined' && this.isHeld;
  }

  /** The ids of all replicas that live, this one included. */
  get live(): string[] {
    return [this.id, ...Array.from(this.#others.keys()).filter((id) => this.isLive(id))];
  }

  isLive(id: string): boolean {
    if (id === this.id) return true;
    const other = this.#others.get(id);
    return other !== undefined && !other.isLost && !other.record.isLeaving;
  }

  /** What a replica has last said of a lane. @throws what `Requests.api` throws */
  async recordOf(id: string, consumer: string): Promise<LaneRecord | undefined> {
    if (id === this.id) return this.#deps.lanes().get(consumer);
    const record = this.#others.get(id)?.record ?? (await this.#lookUp(id))?.record;
    return record?.lanes.get(consumer);
  }

  /** Says at once what has changed about the lanes. */
  write(): void {
    clearTimeout(this.#timer);
    this.#mustWrite = true;
    if (this.#writing !== undefined || this.#state === 'left') return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves once what is known now of the lanes is stored, or the lease has ended. */
  saved(): Promise<void> {
    if (this.#state === 'left') return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.write();
    });
  }

  /** Ends the lease: whatever is not released counts as lost. Never rejects. */
  async leave(): Promise<void> {
    if (this.#state === 'left') return;
    this.#state = 'left';
    this.#heldUntilMs = 0;
    clearTimeout(this.#timer);
    clearTimeout(this.#lossTimer);
    this.#forgetStatus();
    await this.#writing;
    await this.#put().catch(() => false);
    for (const resolve of this.#waiting.splice(0)) resolve();
    await this.#subscription.drain();
  }

  async #writeAll(): Promise<void> {
    while (this.#mustWrite && this.#state !== 'left') {
      this.#mustWrite = false;
      await this.#renew();
    }
    const { leaseMs } = this.#deps;
    if (this.#state === 'left') return;
    this.#timer = setTimeout(() => this.#tick(), leaseMs / renewalsPerLease);
  }

  #tick(): void {
    this.write();
    void this.#checkSilent();
  }

  async #renew(): Promise<void> {
    if (!this.#core.link.isUp) return;
    const sentAtMs = performance.now();
    let waiting: readonly (() => void)[] = [];
    try {
      if (this.#state === 'joining') await this.#join();
      waiting = this.#waiting.splice(0);
      if (!(await this.#put())) throw new Error('the lease was not stored');
    } catch {
      this.#waiting.push(...waiting);
      // The link is down, or the bucket is gone or does not answer: the next renewal makes it again.
      if (this.#state === 'joined') this.#state = 'joining';
      return;
    }
    for (const resolve of waiting) resolve();
    if (this.#hasLeft()) return;
    const wasJoined = this.isJoined;
    this.#state = 'joined';
    this.#heldUntilMs = sentAtMs + this.#deps.leaseMs * heldShare;
    clearTimeout(this.#lossTimer);
    this.#lossTimer = setTimeout(() => this.#deps.onChange(), this.#heldUntilMs - performance.now() + 1);
    if (!wasJoined) this.#deps.onChange();
  }

  // A method, because the state may have changed during an await, which the type checker does not see.
  #hasLeft(): boolean {
    return this.#state === 'left';
  }

  async #put(): Promise<boolean> {
    const { leaseMs, lanes } = this.#deps;
    const record = { leaseMs, beat: ++this.#beat, isLeaving: this.#hasLeft(), lanes: lanes() };
    const requestMs = Math.min(maxRequestMs, leaseMs * requestShare);
    const reply = await this.#core.requests.send(this.#prefix + this.id, encodeRecord(record), requestMs);
    return reply.kind === 'answer' && !('error' in (JSON.parse(reply.msg.string()) as object));
  }

  /** Reads who else lives, and how long ago they said so by the clock of the server. */
  async #join(): Promise<void> {
    const { requests, subjects, options } = this.#core;
    await ensureStream(requests, ownerBucket(subjects, options.stream));
    const body = { subjects_filter: `${this.#prefix}*` };
    const info = await requests.api<StreamInfo & { ts?: string }>(`STREAM.INFO.${this.#bucket}`, body);
    const serverNowMs = info.ts === undefined ? Date.now() : Date.parse(info.ts);
    const ids = Object.keys(info.state.subjects ?? {}).map((subject) => subject.slice(this.#prefix.length));
    await Promise.all(
      ids.slice(0, maxOthers).map(async (id) => {
        const found = id === this.id ? undefined : await this.#lookUp(id);
        if (found === undefined) return;
        const heardAtMs = performance.now() - Math.max(0, serverNowMs - found.storedAtMs);
        this.#note(id, found.record, heardAtMs);
      }),
    );
  }

  #hear({ subject, data }: Msg): void {
    const id = subject.slice(this.#prefix.length);
    const record = parseRecord(data);
    if (id !== this.id && record !== undefined) this.#note(id, record, performance.now());
  }

  #note(id: string, record: OwnerRecord, heardAtMs: number): void {
    const known = this.#others.get(id);
    if (known !== undefined && known.record.beat > record.beat) return;
    const isLost = performance.now() - heardAtMs > record.leaseMs;
    this.#others.delete(id);
    this.#others.set(id, { record, heardAtMs, isLost });
    const [oldest] = this.#others.keys();
    if (this.#others.size > maxOthers && oldest !== undefined) this.#others.delete(oldest);
    const isNews = known === undefined || known.isLost !== isLost || known.record.isLeaving !== record.isLeaving;
    const hasReleased = Array.from(record.lanes).some(
      ([consumer, lane]) => lane.isReleased && known?.record.lanes.get(consumer)?.isReleased !== true,
    );
    if (isNews || hasReleased) this.#deps.onChange();
  }

  async #checkSilent(): Promise<void> {
    for (const [id, other] of this.#others) {
      if (other.isLost || other.record.isLeaving) continue;
      if (performance.now() - other.heardAtMs <= other.record.leaseMs) continue;
      try {
        const found = await this.#lookUp(id);
        if (found !== undefined && found.record.beat !== other.record.beat) {
          this.#note(id, found.record, performance.now());
        } else if (performance.now() - other.heardAtMs > other.record.leaseMs) {
          other.isLost = true;
          this.#deps.onChange();
        }
      } catch {
        // Nobody is lost as long as the bucket can't be read.
      }
    }
  }

  async #lookUp(id: string): Promise<{ readonly record: OwnerRecord; readonly storedAtMs: number } | undefined> {
    try {
      const body = { last_by_subj: this.#prefix + id };
      const { message } = await this.#core.requests.api<StoredKey>(`STREAM.MSG.GET.${this.#bucket}`, body);
      const record = parseRecord(Buffer.from(message.data ?? '', 'base64'));
      return record && { record, storedAtMs: Date.parse(message.time) };
    } catch (err) {
      if (isRefused(err, jetStreamCodes.messageNotFound, jetStreamCodes.streamNotFound)) return undefined;
      throw err;
    }
  }
}
