/**
 * One replica's part of an ordered processor. Each lane of the processor belongs to one replica at a time, which alone pulls
 * its messages, in the order of the stream; who gets which is computed by each replica from who lives. This class brings what this
 * replica owns in line with that: it releases lanes that belong to others now, and takes those that are its own once their
 * owners have released them or are lost. docs/decisions/2026-11-27-owners.md has the protocol.
 */

import type { Msg } from 'nats';
import { within } from '../../../../process/timing.ts';
import { HydrogenError } from '../../../errors.ts';
import { type ConsumerOptions, type Consumption, defaultTakeoverMs, type Lag } from '../../port/messages.ts';
import type { Acks } from '../acks.ts';
import type { Subscribed } from '../connection.ts';
import { ConsumerSetup } from '../consumer-setup.ts';
import type { KnownConsumer } from '../consumer-view.ts';
import type { ConsumptionSource } from '../consumption-source.ts';
import type { NatsCore } from '../core.ts';
import { parseAckSubject, receivedHeaders } from '../wire.ts';
import { lanesOf } from './assignment.ts';
import { Claims } from './claims.ts';
import { GivenUp } from './given-up.ts';
import { Handout } from './handout.ts';
import { Lane } from './lane.ts';
import type { LaneDelivery } from './lane-delivery.ts';
import type { LaneConsumptionEvents } from './lane-events.ts';
import { LaneNames } from './lane-names.ts';
import { LaneReader } from './lane-reader.ts';
import { auditLanes, readLaneLag } from './lane-state.ts';
import type { LaneRecord } from './owner-record.ts';
import { Owners } from './owners.ts';
import { Recalls } from './recalls.ts';
import { type Claim, type Take, takeLanes } from './takes.ts';

const tickMs = 1_000;
/** Ticks between two looks at the names of the consumers. */
const lookEvery = 10;
const auditEvery = 30;
/**
 * Looks that find consumers of another set before they are removed: replicas of a release without lanes make theirs again
 * at once, for as long as a rollout takes.
 */
const maxStrangeLooks = 6;
/** Most messages of the stream that are requested of one lane at a time: they arrive even if there is no room by then. */
const maxBatch = 256;
/** Client messages for which a lane requests messages of the stream at a time. */
const maxAhead = 2_048;
/** The same in bytes, of all lanes. */
const maxRequestedBytes = 16 * 1024 * 1024;
/** How long a lane that belongs to another replica now waits for what has begun. */
const releaseMs = 15_000;

export class LaneConsumption implements Consumption {
  readonly #core: NatsCore;
  readonly #acks: Acks;
  readonly #source: ConsumptionSource;
  readonly #options: ConsumerOptions;
  readonly #inbox: string;
  readonly #events: LaneConsumptionEvents;
  readonly #setup: ConsumerSetup;
  readonly #owners: Owners;
  readonly #subscription: Subscribed;
  readonly #lanes = new Map<number, Lane>();
  readonly #names: LaneNames;
  readonly #reader: LaneReader;
  readonly #claims: Claims;
  readonly #recalls: Recalls;
  readonly #givenUp = new GivenUp();
  readonly #handout: Handout;
  readonly #forgetStatus: () => void;
  readonly #ticker: NodeJS.Timeout;
  #state: 'preparing' | 'ready' | 'stopping' | 'stopped' = 'preparing';
  #settling: Promise<void> | undefined;
  #mustSettle = false;
  /** The consumers may not be as this replica knows them. */
  #isStale = false;
  #hasSaidThatItReads = false;
  #ticks = 0;
  #strangeLooks = 0;
  #stopped: Promise<void> | undefined;

  constructor(
    core: NatsCore,
    acks: Acks,
    source: ConsumptionSource,
    options: ConsumerOptions,
    inbox: string,
    events: LaneConsumptionEvents,
    hasSucceeded = false,
  ) {
    this.#core = core;
    this.#acks = acks;
    this.#source = source;
    this.#options = options;
    this.#inbox = inbox;
    this.#names = new LaneNames(core, options.processor);
    this.#handout = new Handout(options.maxInFlight, (delivery) => events.onDelivery(delivery));
    this.#events = events;
    const onRetry = (): void => void this.#prepare();
    const onProblem = (error: HydrogenError): void => events.onProblem(error);
    this.#setup = new ConsumerSetup(core.link, source, { onRetry, onProblem }, hasSucceeded);
    this.#reader = new LaneReader(core, acks, source, (problem) => this.#setup.report(problem));
    this.#subscription = core.link.subscribe(`${inbox}.*`, (msg) => this.#onMessage(msg));
    this.#owners = new Owners(core, {
      processor: options.processor,
      leaseMs: options.takeoverMs ?? defaultTakeoverMs,
      lanes: () => this.#describe(),
      onChange: () => this.#onOwners(),
    });
    this.#claims = new Claims(core, this.#owners);
    this.#recalls = new Recalls(core);
    this.#forgetStatus = core.link.onStatus((status) => {
      if (this.#state === 'ready') this.#state = 'preparing';
      for (const lane of this.#lanes.values()) lane.doubt();
      if (status === 'up') void this.#prepare();
    });
    this.#ticker = setInterval(() => this.#tick(), tickMs);
    void this.#prepare();
  }

  get isReady(): boolean {
    return this.#state === 'ready' && this.#core.link.isUp && this.#owners.isJoined;
  }

  get lanes(): number {
    return this.#lanes.size;
  }

  get maxOpen(): number {
    return this.#handout.maxOpen;
  }

  set maxOpen(next: number) {
    const isMore = next > this.#handout.maxOpen;
    this.#handout.maxOpen = next;
    if (isMore) this.#fill();
  }

  async lag(): Promise<Lag | undefined> {
    return readLaneLag(this.#core, this.#names, this.#lanes.values(), this.#reader.sizes);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#shutDown();
    return this.#stopped;
  }

  /** Ends at once: what has begun and not ended counts as lost. */
  async abandon(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#end();
    await this.#owners.leave();
  }

  async #shutDown(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopping';
    this.#setup.stop();
    clearInterval(this.#ticker);
    // Withdrawn before anything is waited for. Lanes that are being taken at the moment are released when that is done.
    const released = Array.from(this.#lanes.values(), (lane) => this.#release(lane, Number.POSITIVE_INFINITY));
    await this.#settling;
    await Promise.all(released);
    if (!this.#isStopped()) this.#end();
    await this.#owners.leave();
  }

  #end(): void {
    this.#state = 'stopped';
    this.#forgetStatus();
    this.#setup.stop();
    clearInterval(this.#ticker);
    for (const lane of this.#lanes.values()) lane.lose();
    this.#lanes.clear();
    void this.#subscription.drain();
    this.#events.onWithdrawn();
    this.#events.onStopped();
  }

  // A method, because the state may have changed during an await, which the type checker does not see.
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  async #prepare(): Promise<void> {
    if (!this.#setup.canRun) return;
    const found = await this.#setup.run();
    if (found === undefined || this.#state === 'stopping' || this.#state === 'stopped') return;
    if (!found.isOrdered) return this.#events.onOtherShape(found);
    if (!this.#names.adopt(found)) this.#loseAll();
    this.#state = 'ready';
    this.#isStale = true;
    if (found.entries.length > 0) this.#events.onEntries();
    this.#setup.resetBackOff();
    this.#events.onReadiness();
    this.#settle();
  }

  /** The consumers of the lanes that this replica owns. */
  get #owned(): string[] {
    return Array.from(this.#lanes.values(), ({ consumer }) => consumer);
  }

  #onOwners(): void {
    this.#checkLease();
    this.#events.onReadiness();
    this.#settle();
  }

  #checkLease(): void {
    const { size } = this.#lanes;
    if (size === 0 || this.#owners.isHeld || this.#state === 'stopping') return;
    this.#loseAll();
    this.#events.onLeaseLost(size);
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const lane of this.#lanes.values()) if (lane.isSilent(nowMs)) lane.doubt();
    this.#checkLease();
    if (++this.#ticks % lookEvery === 0) void this.#look();
    else this.#settle();
    this.#fill();
  }

  /** Finds what others have changed: a list of names is cheap. */
  async #look(): Promise<void> {
    if (this.#state !== 'ready' || !this.#core.link.isUp) return;
    try {
      const { isStale, isStrange } = await this.#names.look(this.#owned);
      if (isStale) this.#isStale = true;
      this.#strangeLooks = isStrange ? this.#strangeLooks + 1 : 0;
      if (this.#strangeLooks >= maxStrangeLooks) {
        this.#strangeLooks = 0;
        await this.#prepare();
      }
      if (this.#ticks % auditEvery === 0) await auditLanes(this.#core, this.#lanes.values());
    } catch {
      // The next look may succeed.
    }
    this.#settle();
  }

  #settle(): void {
    this.#mustSettle = true;
    this.#settling ??= this.#settleAll().finally(() => {
      this.#settling = undefined;
    });
  }

  async #settleAll(): Promise<void> {
    while (this.#mustSettle && this.#state === 'ready') {
      this.#mustSettle = false;
      if (!this.#core.link.isUp || !this.#owners.isJoined) return;
      try {
        await this.#settleOnce();
      } catch (cause) {
        // What is not done yet is tried again with the next tick.
        if (this.#core.link.isUp && !(cause instanceof HydrogenError)) {
          const detail = `${this.#source.what}: ${cause instanceof Error ? cause.message : String(cause)}`;
          this.#setup.report(new HydrogenError('HYD_BUS_UNREACHABLE', detail, { cause }));
        }
        return;
      }
    }
  }

  async #settleOnce(): Promise<void> {
    const wanted = lanesOf(this.#owners.id, this.#owners.live, this.#names.count);
    for (const lane of this.#lanes.values()) {
      if (!wanted.has(lane.number) && !lane.isReleasing) void this.#release(lane, releaseMs);
    }
    const isMissing = [...wanted].some((lane) => this.#lanes.get(lane)?.isDoubtful !== false);
    if (!isMissing && !this.#isStale) return;
    const tops = await this.#names.tops(this.#owned, (names) => {
      this.#givenUp.forgetReplaced(names);
      this.#claims.forgetReplaced(names);
    });
    if (tops === undefined) {
      // Its consumers have been replaced by others, or deleted.
      this.#loseAll();
      this.#state = 'preparing';
      this.#setup.retryLater();
      return;
    }
    this.#isStale = false;
    for (const lane of this.#lanes.values()) {
      if (!lane.isReleasing && tops[lane.number] !== lane.consumer) this.#lose(lane);
    }
    const sought = [...wanted].filter((number) => this.#lanes.get(number)?.isDoubtful !== false);
    const found = await Promise.all(
      sought.map((number) =>
        this.#claims.of(number, tops[number] ?? '', (top) => this.#isFine(this.#lanes.get(number), top)),
      ),
    );
    await this.#take(found.filter((claim) => claim !== undefined));
  }

  #isFine(lane: Lane | undefined, top: KnownConsumer): boolean {
    return lane !== undefined && (lane.isReleasing || (lane.isDoubtful && lane.resume(top)));
  }

  async #take(claims: readonly Claim[]): Promise<void> {
    if (claims.length === 0) return;
    const { processor } = this.#options;
    const takes = await takeLanes(this.#core, processor, this.#owners.id, claims);
    // Somebody else took those, or they failed: the consumers are read again.
    if (takes.length < claims.length) this.#isStale = true;
    if (this.#isStopped() || !this.#owners.isHeld) return;
    if (this.#state === 'stopping') {
      for (const { consumer, record, inheritance } of takes) {
        this.#givenUp.keep(consumer, { isReleased: true, ended: record?.ended ?? [], ...inheritance.rest });
      }
      return;
    }
    for (const take of takes) this.#own(take);
    this.#owners.write();
    if (!this.#hasSaidThatItReads && takes.length > 0) this.#source.reading();
    this.#hasSaidThatItReads ||= takes.length > 0;
    const lost = takes.filter(({ isLost }) => isLost).length;
    if (lost > 0) this.#events.onTakeover(lost);
    this.#events.onReadiness();
  }

  #own({ lane: number, consumer, inheritance, record }: Take): void {
    const known = this.#lanes.get(number);
    if (known?.isReleasing) return;
    if (known !== undefined) {
      known.retake(consumer);
      return;
    }
    const { link, subjects } = this.#core;
    const lane: Lane = new Lane(number, consumer, inheritance, record?.ended ?? [], {
      link,
      acks: this.#acks,
      stream: subjects.stream,
      inbox: this.#inbox,
      maxBytes: Math.max(262_144, Math.floor(maxRequestedBytes / this.#names.count)),
      mayBegin: () => this.#owners.isHeld,
      room: () => Math.min(maxBatch, this.#reader.sizes.entriesFor(Math.min(maxAhead, this.#handout.room))),
      saved: () => this.#owners.saved(),
      read: (sequence, index) => this.#recalls.payload(sequence, index),
      arrived: (delivery) => this.#handout.add(delivery),
      ended: (delivery) => this.#ended(delivery, lane),
      doubted: () => this.#settle(),
    });
    this.#lanes.set(number, lane);
    lane.pull();
  }

  /** Gives a lane up in order. */
  async #release(lane: Lane, maxMs: number): Promise<void> {
    const idle = lane.release();
    this.#events.onWithdrawn();
    await (maxMs === Number.POSITIVE_INFINITY ? idle : within(maxMs, idle));
    if (this.#lanes.get(lane.number) !== lane) return;
    this.#lanes.delete(lane.number);
    this.#givenUp.keep(lane.consumer, lane.record(true));
    lane.lose();
    if (this.#state !== 'stopping') this.#owners.write();
    this.#events.onReadiness();
  }

  #lose(lane: Lane): void {
    // What is under way goes on: it was sent, and is handed out again if this replica takes the lane once more.
    this.#givenUp.keep(lane.consumer, lane.record(true));
    this.#lanes.delete(lane.number);
    lane.lose();
    this.#events.onWithdrawn();
  }

  #loseAll(): void {
    for (const lane of this.#lanes.values()) this.#lose(lane);
  }

  #describe(): ReadonlyMap<string, LaneRecord> {
    const owned = Array.from(this.#lanes.values(), (lane) => [lane.consumer, lane.record(false)] as const);
    return new Map([...this.#givenUp.records, ...owned]);
  }

  #fill(): void {
    if (this.#handout.room > 0) for (const lane of this.#lanes.values()) lane.pull();
  }

  #onMessage(msg: Msg): void {
    const { reply } = msg;
    const block = receivedHeaders(msg);
    const ack = parseAckSubject(reply);
    if (reply === undefined || ack === undefined) {
      for (const lane of this.#lanes.values()) lane.onStatus(msg, block);
      return;
    }
    this.#laneOf(ack.consumer)?.onMessage(ack, reply, () => this.#reader.read(msg, ack, reply, block));
  }

  #laneOf(consumer: string): Lane | undefined {
    for (const lane of this.#lanes.values()) if (lane.consumer === consumer) return lane;
    return undefined;
  }

  #ended(delivery: LaneDelivery, lane: Lane): void {
    const wasFull = this.#handout.room <= 0;
    this.#handout.remove(delivery);
    if (wasFull) this.#fill();
    else lane.pull();
  }
}
