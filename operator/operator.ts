/**
 * The operator: watches of the custom resources and their children fill a queue of keys, and the holder of the lease
 * works through it. Followers watch as well, so that they can take over at once.
 */
import type { HydrogenGroup } from '../crds/index.ts';
import { defaultImage, natsImage as defaultNatsImage } from '../infra/index.ts';
import { isSameEndpoints, isSameReady, isWorthReconciling } from './cache/predicates.ts';
import type { Change } from './cache/reflector.ts';
import { createSecretIndex, type SecretIndex } from './cache/secrets.ts';
import { createStore } from './cache/store.ts';
import { type Child, createChildTransform } from './cache/transform.ts';
import { createWatches, type Watches } from './cache/watches.ts';
import { Applier } from './children/apply.ts';
import { createRollouts, type RolloutLimit, type Rollouts } from './children/rollouts.ts';
import { GarbageCollection } from './garbage.ts';
import type { Kube } from './kube/client.ts';
import { createEvents, type Events } from './kube/events.ts';
import { guarded } from './kube/guard.ts';
import { groupKey, groupNameOf, keyOf, ownerKeyOf, targetKeyOf } from './kube/keys.ts';
import { LeaderElection } from './kube/leader.ts';
import { isWorkload } from './kube/objects.ts';
import type { OperatorLog } from './log.ts';
import type { OperatorMetrics } from './metrics.ts';
import { Buses } from './nats/buses.ts';
import { type Outcome, Queue } from './queue.ts';
import { Reconciler } from './reconcile/reconcile.ts';
import { containersOf, holdsSlot } from './status/workload.ts';
import { createStatusWriter } from './status/writer.ts';

export interface OperatorOptions {
  readonly kube: Kube;
  readonly log: OperatorLog;
  readonly metrics: OperatorMetrics;
  /** The only namespace that it works in. @default - every namespace */
  readonly namespace?: string | undefined;
  /** The place of the lease and our identity; undefined: no other operator runs, and this one acts at once. */
  readonly lease?: { readonly namespace: string; readonly name: string; readonly identity: string } | undefined;
  /** Name of this operator's pod, for events. */
  readonly instance: string;
  /** Image of pods whose document specifies none. @default - that of this release */
  readonly image?: string | undefined;
  /** Image of managed NATS servers. @default - that of this release */
  readonly natsImage?: string | undefined;
  /** How many workloads may roll out the image of this release at once. @default - a tenth of them */
  readonly rolloutLimit?: RolloutLimit | undefined;
  /** Called when the lease has been lost: the process must exit. */
  readonly onLost: () => void;
  /** @default - the servers in the document */
  readonly serversOf?: (group: HydrogenGroup) => readonly string[];
  readonly timing?: OperatorTiming;
}

/** For tests; the defaults are for clusters. */
export interface OperatorTiming {
  /** How long changes to children are collected before their owner is reconciled. @default 100 */
  readonly collectMs?: number;
  /** How often everything is reconciled again. @default 600_000 */
  readonly resyncMs?: number;
  /** How often NATS is queried for streams, consumers and lag. @default 30_000 */
  readonly observeMs?: number;
  /** How long NATS must be unreachable before it may be gone for good. @default 30_000 */
  readonly goneMs?: number;
  /** How long an object may fail to be reconciled until its status says so. @default 5_000 */
  readonly overdueMs?: number;
  /** First delay after a failed list or watch. @default 200 */
  readonly watchRetryMs?: number;
  /** Silence after which a watch counts as dead. @default 120_000 */
  readonly inactivityMs?: number;
  readonly lease?: { readonly durationMs: number; readonly renewDeadlineMs: number; readonly retryMs: number };
}

export class Operator {
  readonly #options: OperatorOptions;
  readonly #collectMs: number;
  readonly #store = createStore();
  readonly #garbage = new GarbageCollection();
  readonly #secrets: SecretIndex;
  readonly #events: Events;
  readonly #buses: Buses;
  readonly #watches: Watches;
  readonly #rollouts: Rollouts;
  readonly #reconciler: Reconciler;
  readonly #queue: Queue;
  readonly #lease: LeaderElection | undefined;
  /** `ready`: every resource has been listed once. */
  #state: 'starting' | 'ready' | 'stopping' = 'starting';
  #resync: NodeJS.Timeout | undefined;

  constructor(options: OperatorOptions) {
    const { log, image, natsImage, instance } = options;
    this.#options = options;
    this.#collectMs = options.timing?.collectMs ?? 100;
    const kube = guarded(options.kube, () => this.#mayWrite());
    const store = this.#store;
    const transformChild = createChildTransform();
    this.#events = createEvents({ kube, instance, onFailure: (err) => log.eventFailed({ err }) });
    this.#buses = this.#createBuses(kube);
    this.#secrets = createSecretIndex({
      kube,
      isVisible: () => this.#watches.areSecretsVisible,
      onHidden: (err) => log.secretsHidden({ err }),
    });
    this.#rollouts = createRollouts({
      limit: options.rolloutLimit ?? { percent: 10 },
      total: () => store.workloads,
      onTurn: (key) => this.#queue.add(key),
    });
    this.#reconciler = new Reconciler({
      kube,
      store,
      log,
      image,
      natsImage,
      secrets: this.#secrets,
      rollouts: this.#rollouts,
      buses: this.#buses,
      events: this.#events,
      applier: new Applier({
        kube,
        store,
        transform: transformChild,
        onApplied: (child) => this.#watches.learnChild(child),
      }),
      overdueMs: options.timing?.overdueMs,
      status: createStatusWriter({ kube, onWritten: (object) => this.#watches.learnCustom(object) }),
    });
    this.#queue = this.#createQueue();
    this.#lease = this.#createLease();
    this.#watches = this.#createWatches(kube, transformChild);
  }

  get queueDepth(): number {
    return this.#queue.depth;
  }

  /** The rollouts to the image of this release. */
  get rollouts(): Pick<Rollouts, 'running' | 'waiting' | 'holders'> {
    return this.#rollouts;
  }

  get isLeading(): boolean {
    if (this.#watches.missing.length > 0) return false;
    return this.#lease?.isLeading ?? this.#state !== 'stopping';
  }

  /** Undefined once every resource has been listed, for as long as the cluster has the definitions of the custom ones. */
  get notReadyReason(): string | undefined {
    const { missing } = this.#watches;
    if (missing.length > 0) {
      return `the cluster does not know ${missing.join(', ')}; apply their definitions: kubectl apply --server-side -f dist/crds.yaml`;
    }
    return this.#state === 'ready' ? undefined : 'not every resource has been listed yet';
  }

  start(): void {
    this.#watches.start();
    void this.#watches.synced.then(() => {
      if (this.#state === 'starting') this.#state = 'ready';
    });
    // Without the definitions there is nothing to lead.
    void this.#watches.customsSynced.then(() => {
      if (this.#state === 'stopping') return;
      if (this.#lease === undefined) this.#lead();
      else this.#lease.start();
    });
  }

  /** Finishes the current work, then releases the lease. */
  async stop(): Promise<void> {
    this.#state = 'stopping';
    clearInterval(this.#resync);
    this.#garbage.stop();
    await this.#queue.stop();
    await this.#watches.stop();
    await this.#events.settled();
    await this.#buses.stop();
    await this.#lease?.stop();
  }

  /** An expired lease is noticed before the next write, even by a process that was suspended. */
  #mayWrite(): boolean {
    return this.#lease === undefined || this.#lease.isLeading;
  }

  /** Another operator would find the same, so the lease is free until the definitions are back. */
  #onMissing(): void {
    const { missing } = this.#watches;
    if (missing.length === 0) {
      this.#options.log.definitionsFound();
      this.#lease?.resume();
    } else {
      this.#options.log.definitionsMissing({ resources: missing });
      this.#lease?.suspend();
    }
  }

  #createBuses(kube: Kube): Buses {
    const { log, timing, serversOf } = this.#options;
    return new Buses({
      kube,
      onChange: (key) => this.#queue.add(key),
      // The name comes from a NATS server, which may send anything.
      onProcessor: (key) => {
        if (this.#store.custom(key) !== undefined) this.#queue.add(key);
      },
      onReports: (key) => {
        if (this.#store.custom(key) !== undefined) this.#queue.add(key, this.#collectMs);
      },
      onReportsKnown: (namespace, group) => {
        for (const member of this.#store.membersOf(namespace, group)) this.#queue.add(member, this.#collectMs);
      },
      onEvent: (object, event, detail) => log.busEvent({ object, event, detail }),
      onBug: (err) => log.failed({ err }),
      mayWrite: () => this.#mayWrite(),
      observeMs: timing?.observeMs,
      goneMs: timing?.goneMs,
      serversOf,
    });
  }

  #createQueue(): Queue {
    const { log, metrics } = this.#options;
    const count = (key: string, result: 'done' | 'failed'): void =>
      metrics.reconciled(key.split('/', 1)[0] ?? '', result);
    return new Queue({
      work: async (key): Promise<Outcome> => {
        if (!this.#mayWrite()) return undefined;
        const outcome = await this.#reconciler.reconcile(key);
        this.#garbage.noteWork();
        count(key, 'done');
        return outcome;
      },
      onFailure: (object, err, delayMs) => {
        count(object, 'failed');
        log.reconcileFailed({ object, delayMs, err });
      },
      onTaken: (waitedMs) => metrics.waited(waitedMs / 1000),
      // An admission webhook of one namespace that hangs must not hold up all others.
      slowMs: 2000,
    });
  }

  #createLease(): LeaderElection | undefined {
    const { lease, kube, log, timing, onLost } = this.#options;
    if (lease === undefined) return undefined;
    return new LeaderElection({
      kube,
      ...lease,
      ...timing?.lease,
      onLeading: () => this.#lead(),
      onFollowing: (holder) => log.following({ holder }),
      onLost: () => {
        log.leaseLost();
        onLost();
      },
      onFailure: (err) => log.leaseFailed({ err }),
    });
  }

  #createWatches(kube: Kube, transformChild: ReturnType<typeof createChildTransform>): Watches {
    const { log, metrics, namespace, timing } = this.#options;
    const worked =
      <C>(onChange: (change: C) => void) =>
      (change: C): void => {
        this.#garbage.noteWork();
        onChange(change);
      };
    return createWatches({
      kube,
      namespace,
      transformChild,
      onCustom: worked((change) => this.#onCustom(change)),
      onChild: worked((change) => this.#onChild(change)),
      onSecret: worked((change) => this.#onSecret(change)),
      onFailure: (resource, err, delayMs) => {
        metrics.watchRestarted(resource);
        log.watchFailed({ resource, delayMs, err });
      },
      onBug: (err) => log.failed({ err }),
      onMissing: () => this.#onMissing(),
      onSecretsHidden: (err) => log.secretsHidden({ err }),
      retryMs: timing?.watchRetryMs,
      inactivityMs: timing?.inactivityMs,
    });
  }

  #onCustom(change: Change): void {
    this.#store.putCustom(change);
    const { before, after } = change;
    const object = after ?? before;
    if (object === undefined) return;
    const { namespace = '', name } = object.metadata;
    if (before !== undefined && before.metadata.uid !== after?.metadata.uid) {
      void this.#reconciler.forget(before).catch((err: unknown) => this.#options.log.failed({ err }));
    }
    // The answer to our own write may contain other changes. What others write into a status may need to be reverted, but
    // not at once.
    if (isWorthReconciling(before, after)) this.#queue.add(keyOf(object));
    else if (!change.isOwn) this.#queue.add(keyOf(object), this.#collectMs);
    if (object.kind === 'HydrogenGroup') {
      if (!isWorthReconciling(before, after) && isSameReady(before, after)) return;
      for (const member of this.#store.membersOf(namespace, name)) this.#queue.add(member);
      return;
    }
    const group = groupNameOf(object);
    if (group !== undefined && !isSameEndpoints(before, after)) {
      const others = this.#store.membersOf(namespace, group).filter((key) => !key.startsWith(`${object.kind}/`));
      for (const other of others) this.#queue.add(other, this.#collectMs);
    }
    // The group counts its members, and a deleted group may be waiting for this one to go.
    if (group !== undefined && (before === undefined || after === undefined))
      this.#queue.add(groupKey(namespace, group), this.#collectMs);
  }

  #onChild(change: Change<Child>): void {
    this.#store.putChild(change);
    if (change.isOwn) return;
    const owners = [change.before, change.after].flatMap((object) => {
      if (object === undefined) return [];
      const target = this.#store.child(targetKeyOf(object) ?? '');
      return [ownerKeyOf(object) ?? [], (target && ownerKeyOf(target)) ?? []].flat();
    });
    for (const key of new Set(owners)) this.#queue.add(key, this.#collectMs);
  }

  #onSecret(change: Change): void {
    for (const key of this.#secrets.put(change)) {
      this.#buses.expireSecrets(key);
      this.#queue.add(key);
    }
  }

  #lead(): void {
    this.#options.log.leading();
    void this.#watches.synced.then(() => {
      if (this.#state === 'stopping') return;
      this.#resumeRollouts();
      this.#addAll();
      this.#queue.start();
      clearInterval(this.#resync);
      this.#resync = setInterval(() => this.#addAll(), this.#options.timing?.resyncMs ?? 600_000).unref();
    });
  }

  #addAll(): void {
    for (const [key] of this.#store.customs()) this.#queue.add(key);
  }

  /** Rollouts to the image of this release that an earlier operator started keep their slots. */
  #resumeRollouts(): void {
    const { image = defaultImage, natsImage = defaultNatsImage } = this.#options;
    const releaseImages = [image, natsImage];
    for (const [key, object] of this.#store.customs()) {
      const workload = this.#store.childrenOf(object.metadata.uid ?? '').find(isWorkload);
      const hasIt = workload && containersOf(workload).some((one) => releaseImages.includes(one.image ?? ''));
      if (workload !== undefined && hasIt && holdsSlot(workload)) this.#rollouts.resume(key);
    }
  }
}
