/**
 * Brings the NATS of one group in line with what is wanted. Wishes can be declared at any time, without waiting; `work`
 * does what is due whenever the queue calls it, and updates the facts. A single connection, which carries no messages,
 * creates streams and consumers whenever it comes up or their settings change, and reverts what others do to them.
 */
import type { HydrogenGroup } from '../../crds/index.ts';
import type { NatsEvent } from '../../runtime/bus/nats/dial.ts';
import { createNatsGroup, type NatsGroup } from '../../runtime/bus/nats/group.ts';
import { ServerExcess } from '../../runtime/bus/nats/meter.ts';
import type { ConsumerOptions } from '../../runtime/bus/port/messages.ts';
import type { PodReport } from '../../runtime/bus/port/reports.ts';
import type { Kube } from '../kube/client.ts';
import { messageOf } from '../kube/errors.ts';
import type { Outcome } from '../queue.ts';
import type { BusFacts } from '../status/facts.ts';
import { GroupConsumers } from './consumers.ts';
import { ConnectFailure } from './failure.ts';
import type { LagStatus } from './lag.ts';
import { connectionDigest, connectionOptions } from './options.ts';
import { type Removal, removalBlocked } from './removal.ts';
import { GroupReports } from './reports.ts';
import { LoginSecrets } from './secrets.ts';
import { GroupStreams, type StreamsWish } from './streams.ts';

export interface NatsReconcilerOptions {
  readonly kube: Pick<Kube, 'get'>;
  readonly servers: readonly string[];
  /** Called when there is something for `work` to do. */
  readonly onDue: () => void;
  /** Called when the facts of the group have changed. */
  readonly onChange: () => void;
  /** Called when the facts of a processor's consumers, or its lag, have changed. */
  readonly onProcessor: (name: string) => void;
  /** Called when what the pods of a member report has changed. */
  readonly onReports: (kind: string, name: string) => void;
  /** Called when it becomes known what the pods of all members report. */
  readonly onReportsKnown: () => void;
  readonly onEvent: (event: string, detail: string) => void;
  /** Checked before every change in NATS. */
  readonly mayWrite: () => boolean;
  /** How often NATS is queried for streams, consumers and lag. */
  readonly observeMs: number;
  /** How long NATS must be unreachable before it counts as gone. */
  readonly goneMs: number;
}

/** How long after connecting NATS is first queried for streams, consumers and lag. */
const firstObserveMs = 3000;

/** Longer than the pause before a server that exceeded its limits is tried again. */
const excessLifeMs = 90_000;

/** Log lines that a server can cause are limited in number and length. */
const eventsPerMinute = 30;
const longestDetail = 1000;

export class NatsReconciler {
  /** Digest of the settings of the connection. */
  readonly connection: string;
  readonly #options: NatsReconcilerOptions;
  readonly #nats: NatsGroup;
  readonly #secrets: LoginSecrets;
  readonly #failure: ConnectFailure;
  readonly #streams: GroupStreams;
  readonly #consumers: GroupConsumers;
  readonly #reports: GroupReports;
  /** How a server exceeded its limits, for which it was disconnected. Counts until an observation succeeds, or it expires. */
  #excess: { readonly message: string; readonly atMs: number } | undefined;
  #downSinceMs: number | undefined = performance.now();
  #observeAtMs = 0;
  /** The facts that `onChange` was last called for. */
  #published = '';
  #isClosed = false;
  #eventsLeft = eventsPerMinute;
  #eventsSinceMs = 0;

  constructor(group: HydrogenGroup, options: NatsReconcilerOptions) {
    const { kube, servers, mayWrite, onProcessor } = options;
    this.#options = options;
    this.connection = connectionDigest(group, servers);
    this.#secrets = new LoginSecrets(kube, group.metadata.namespace);
    this.#failure = new ConnectFailure(servers, {
      onNews: (detail) => this.#log('connectFailed', detail),
      onChange: () => this.#publish(),
    });
    this.#nats = createNatsGroup({
      ...connectionOptions(group, servers, (ref) => this.#secrets.read(ref)),
      mayWrite,
      onEvent: (event) => this.#onEvent(event),
    });
    this.#streams = new GroupStreams(this.#nats);
    this.#consumers = new GroupConsumers(this.#nats, (processor) => {
      if (!this.#isClosed) onProcessor(processor);
    });
    this.#reports = new GroupReports(this.#nats, options.onReports, options.onReportsKnown);
    this.#nats.onStatus((status) => this.#onStatus(status === 'up'));
    this.#nats.start();
  }

  /** The state of the group's NATS, as far as it is known. */
  get facts(): BusFacts {
    if (this.#excess !== undefined) return { state: 'down', message: this.#excess.message };
    if (this.#nats.status === 'up') return this.#streams.facts;
    const { problem } = this.#secrets;
    if (problem !== undefined) return { state: problem.isForbidden ? 'unchecked' : 'down', message: problem.message };
    return this.#failure.last === undefined ? { state: 'connecting' } : { state: 'down', message: this.#failure.last };
  }

  /** True if NATS has been unreachable for so long that it may be gone for good. */
  get isGone(): boolean {
    if (this.#excess !== undefined) return true;
    if (this.#failure.last === undefined || this.#downSinceMs === undefined) return false;
    return performance.now() - this.#downSinceMs > this.#options.goneMs;
  }

  wantStreams(wish: StreamsWish): void {
    if (this.#streams.want(wish)) this.#options.onDue();
  }

  wantConsumers(options: ConsumerOptions): void {
    if (this.#consumers.want(options.processor, { kind: 'made', options })) this.#options.onDue();
  }

  /** Leaves the consumers of a processor unchanged. */
  keepConsumers(processor: string): void {
    this.#consumers.want(processor, { kind: 'kept' });
  }

  removeConsumers(processor: string): Removal {
    if (this.#consumers.want(processor, { kind: 'removed' })) this.#options.onDue();
    return this.#reachable(this.#consumers.removalOf(processor));
  }

  removeStreams(): Removal {
    this.wantStreams('removed');
    return this.#reachable(this.#streams.removal);
  }

  dropConsumers(processor: string): void {
    this.#consumers.drop(processor);
  }

  /** Why NATS refuses the consumers of a processor. Without streams there are no consumers, and the group reports why. */
  refusalOf(processor: string): string | undefined {
    return this.#streams.areUsable ? this.#consumers.refusalOf(processor) : undefined;
  }

  lagOf(processor: string): LagStatus | undefined {
    return this.#consumers.lagOf(processor);
  }

  waitingOf(processor: string): ReadonlyMap<string, number> | undefined {
    return this.#consumers.waitingOf(processor);
  }

  /** What the pods of a member report; undefined while it is not known. */
  reportsOf(kind: string, name: string): readonly PodReport[] | undefined {
    return this.#reports.of(kind, name);
  }

  /** Asks the pods again, since some that have reported may be gone. */
  askForReports(): void {
    this.#reports.ask();
    this.#options.onDue();
  }

  /** Call it when a secret that it logs in with may have changed. */
  expireSecrets(): void {
    this.#secrets.expire();
  }

  /** Does what is due. Never rejects. Resolves with when there is more to do. */
  async work(): Promise<Outcome> {
    if (this.#nats.status !== 'up') return undefined;
    this.#reports.work();
    if (performance.now() >= this.#observeAtMs) await this.#observe();
    await this.#streams.work();
    this.#publish();
    await this.#consumers.work(this.#streams.areUsable);
    if (this.#isClosed || this.#nats.status !== 'up') return undefined;
    const consumersAtMs = this.#consumers.retryAtMs(this.#streams.areUsable);
    const times = [this.#observeAtMs, this.#reports.dueAtMs, this.#streams.retryAtMs, consumersAtMs];
    const nextMs = Math.min(...times.flatMap((atMs) => atMs ?? []));
    return { againAfterMs: Math.max(1, nextMs - performance.now()) };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#nats.stop();
  }

  /** Queries NATS for streams, consumers and lag. If others have deleted or changed any, all of them become due again. */
  async #observe(): Promise<void> {
    this.#observeAtMs = performance.now() + this.#options.observeMs;
    this.#reports.ask();
    try {
      const observedTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
      const [lags, haveDrifted] = await Promise.all([this.#nats.lags(), this.#streams.observe()]);
      const haveChanged = this.#consumers.observe(lags, observedTime, (name) => this.#reports.messagesPerEntry(name));
      if (haveDrifted || haveChanged) this.#expire();
      this.#excess = undefined;
    } catch (error) {
      this.#log('lagUnknown', messageOf(error));
      const { cause } = error as { cause?: unknown };
      if (cause instanceof ServerExcess) this.#noteExcess(cause.message);
      else if (this.#excess && performance.now() - this.#excess.atMs > excessLifeMs) this.#excess = undefined;
    }
  }

  #expire(): void {
    this.#streams.expire();
    this.#consumers.expire();
  }

  #onStatus(isUp: boolean): void {
    if (isUp) {
      this.#failure.clear();
      this.#downSinceMs = undefined;
      this.#observeAtMs = performance.now() + Math.min(this.#options.observeMs, firstObserveMs);
      this.#expire();
      this.#reports.ask();
      this.#options.onDue();
    } else this.#downSinceMs ??= performance.now();
    this.#publish();
  }

  #onEvent({ kind, detail, cause }: NatsEvent): void {
    if (cause instanceof ServerExcess) this.#noteExcess(`${detail}: ${cause.message}`);
    if (kind === 'connectFailed') this.#failure.add(detail, cause);
    else this.#log(kind, cause === undefined ? detail : `${detail}: ${messageOf(cause)}`);
  }

  #noteExcess(message: string): void {
    this.#excess = { message, atMs: performance.now() };
  }

  #log(event: string, detail: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#eventsSinceMs > 60_000) {
      this.#eventsSinceMs = nowMs;
      this.#eventsLeft = eventsPerMinute;
    }
    if (this.#eventsLeft-- > 0) this.#options.onEvent(event, detail.slice(0, longestDetail));
  }

  /** Without a connection, a removal that is not done yet is blocked. */
  #reachable(removal: Removal): Removal {
    if (removal.state === 'done' || this.#nats.status === 'up') return removal;
    return removalBlocked(this.#excess?.message ?? 'it cannot be reached');
  }

  #publish(): void {
    if (this.#isClosed) return;
    const facts = JSON.stringify([this.facts, this.#streams.removal]);
    if (facts === this.#published) return;
    this.#published = facts;
    this.#options.onChange();
  }
}
