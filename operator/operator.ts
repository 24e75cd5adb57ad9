/**
 * The operator: watches of the custom resources and their children fill one queue of keys, and whoever holds the lease
 * works it off. A follower watches as well, so that it can act at once.
 */
import type { HydrogenGroup } from '../crds/index.ts';
import { defaultImage, natsImage } from '../infra/index.ts';
import { isSameReady, isWorthReconciling } from './cache/predicates.ts';
import type { Change } from './cache/reflector.ts';
import { createSecretIndex } from './cache/secrets.ts';
import { createStore } from './cache/store.ts';
import { type Child, createChildTransform } from './cache/transform.ts';
import { createWatches } from './cache/watches.ts';
import { Applier } from './children/apply.ts';
import { createRollouts, type RolloutLimit } from './children/rollouts.ts';
import { GarbageCollection } from './garbage.ts';
import type { Kube } from './kube/client.ts';
import { createEvents } from './kube/events.ts';
import { guarded } from './kube/guard.ts';
import { groupKey, groupNameOf, keyOf, ownerKeyOf, targetKeyOf } from './kube/keys.ts';
import { LeaderElection } from './kube/leader.ts';
import { isWorkload } from './kube/objects.ts';
import type { Log } from './log.ts';
import type { OperatorMetrics } from './metrics.ts';
import { createBuses } from './nats/buses.ts';
import { createQueue } from './reconcile/queue.ts';
import { createReconciler } from './reconcile/reconcile.ts';
import { containersOf, isRollingOut } from './status/workload.ts';
import { createStatusWriter } from './status/writer.ts';

export interface OperatorOptions {
  readonly kube: Kube;
  readonly log: Log;
  readonly metrics: OperatorMetrics;
  /** The one namespace that it looks after. @default - every namespace */
  readonly namespace?: string | undefined;
  /** Where the lease is, and who we are; undefined: no other operator runs, and this one acts at once. */
  readonly lease?: { readonly namespace: string; readonly name: string; readonly identity: string } | undefined;
  /** Name of this operator's pod, for events. */
  readonly instance: string;
  /** Image of pods whose document names none. @default - that of this release */
  readonly image?: string | undefined;
  /** How many workloads get the image of this release at once. @default - a tenth of them */
  readonly rolloutLimit?: RolloutLimit | undefined;
  /** Called when the lease was lost: the process must end. */
  readonly onLost: () => void;
  /** @default - the servers of the document */
  readonly serversOf?: (group: HydrogenGroup) => readonly string[];
  readonly timing?: OperatorTiming;
}

/** For tests; the defaults are for clusters. */
export interface OperatorTiming {
  /** How long changes of children are collected. @default 100 */
  readonly collectMs?: number;
  /** How often everything is looked at anew. @default 600_000 */
  readonly resyncMs?: number;
  /** How often NATS is asked what there is and how far processors are behind. @default 30_000 */
  readonly lagMs?: number;
  /** How long NATS is out of reach before it may be gone for good. @default 30_000 */
  readonly goneMs?: number;
  /** First delay after a failed list or watch. @default 200 */
  readonly watchRetryMs?: number;
  /** Silence after which a watch counts as dead. @default 120_000 */
  readonly inactivityMs?: number;
  readonly lease?: { readonly durationMs: number; readonly renewDeadlineMs: number; readonly retryMs: number };
}

export interface Operator {
  readonly queueDepth: number;
  /** Workloads that are getting the image of this release, and those that wait for it. */
  readonly rollouts: { readonly running: number; readonly waiting: number };
  readonly isLeading: boolean;
  /** Whether every resource has been listed once. */
  readonly isReady: boolean;
  start(): void;
  /** Finishes what is being worked on, and gives the lease up. */
  stop(): Promise<void>;
}

export function createOperator(options: OperatorOptions): Operator {
  const { log, metrics, namespace, timing = {} } = options;
  const { collectMs = 100, resyncMs = 600_000 } = timing;
  // A lease that has run out is noticed before the next write, also by a process that was suspended.
  const mayWrite = (): boolean => lease === undefined || lease.isLeading;
  const kube = guarded(options.kube, mayWrite);
  const store = createStore();
  const events = createEvents({ kube, instance: options.instance, onFailure: (err) => log.eventFailed({ err }) });
  const buses = createBuses({
    kube,
    onChange: (key, isNew) => {
      queue.add(key);
      // What the members need of NATS is looked at on each connection; the group's own state may be as before.
      const group = isNew ? store.custom(key) : undefined;
      if (group === undefined) return;
      for (const member of store.membersOf(group.metadata.namespace ?? '', group.metadata.name)) queue.add(member);
    },
    onProcessor: (key) => queue.add(key),
    mayWrite,
    ...(timing.lagMs !== undefined && { lagMs: timing.lagMs }),
    ...(timing.goneMs !== undefined && { goneMs: timing.goneMs }),
    onEvent: (object, event, detail) => log.busEvent({ object, event, detail }),
    ...(options.serversOf && { serversOf: options.serversOf }),
  });
  const transformChild = createChildTransform();
  const applier = new Applier({
    kube,
    store,
    transform: transformChild,
    onApplied: (child) => watches.learnChild(child),
  });
  const status = createStatusWriter({ kube, onWritten: (object) => watches.learnCustom(object) });
  const secrets = createSecretIndex({
    kube,
    isVisible: () => watches.areSecretsVisible,
    onHidden: (err) => log.secretsHidden({ err }),
  });
  const rollouts = createRollouts({
    limit: options.rolloutLimit ?? { percent: 10 },
    total: () => store.workloads,
    onTurn: (key) => queue.add(key),
  });
  const { image } = options;
  const parts = { kube, store, secrets, applier, rollouts, buses, status, events, log, image };
  const reconciler = createReconciler(parts);
  const queue = createQueue({
    work: async (key) => {
      if (!mayWrite()) return undefined;
      const outcome = await reconciler.reconcile(key);
      garbage.noteWork();
      metrics.reconciled(key.split('/', 1)[0] ?? '', 'done');
      return outcome;
    },
    onFailure: (object, err, delayMs) => {
      metrics.reconciled(object.split('/', 1)[0] ?? '', 'failed');
      log.reconcileFailed({ object, delayMs, err });
    },
    onTaken: (waitedMs) => metrics.waited(waitedMs / 1000),
  });
  const lease =
    options.lease &&
    new LeaderElection({
      kube: options.kube,
      ...options.lease,
      ...timing.lease,
      onLeading: () => lead(),
      onFollowing: (holder) => log.following({ holder }),
      onLost: () => {
        log.leaseLost();
        options.onLost();
      },
      onFailure: (err) => log.leaseFailed({ err }),
    });
  let isReady = false;
  let isStopping = false;
  let resync: NodeJS.Timeout | undefined;

  const garbage = new GarbageCollection();
  const worked =
    <C>(onChange: (change: C) => void) =>
    (change: C): void => {
      garbage.noteWork();
      onChange(change);
    };
  const watches = createWatches({
    kube,
    namespace,
    transformChild,
    onCustom: worked(onCustom),
    onChild: worked(onChild),
    onSecret: worked(onSecret),
    onFailure: (resource, err, delayMs) => {
      metrics.watchRestarted(resource);
      log.watchFailed({ resource, delayMs, err });
    },
    onBug: (err) => log.failed({ err }),
    onSecretsHidden: (err) => log.secretsHidden({ err }),
    retryMs: timing.watchRetryMs,
    inactivityMs: timing.inactivityMs,
  });

  function onCustom(change: Change): void {
    store.putCustom(change);
    const { before, after } = change;
    const object = after ?? before;
    if (object === undefined) return;
    const { namespace: where = '', name } = object.metadata;
    if (after === undefined || (before && before.metadata.uid !== after.metadata.uid)) {
      if (before) void reconciler.forget(before).catch((err: unknown) => log.failed({ err }));
    }
    // The answer to our own write may hold news; what others write into a status may be ours to set back, but not at once.
    if (isWorthReconciling(before, after)) queue.add(keyOf(object));
    else if (!change.isOwn) queue.add(keyOf(object), collectMs);
    if (object.kind === 'HydrogenGroup') {
      if (isWorthReconciling(before, after) || !isSameReady(before, after)) {
        for (const member of store.membersOf(where, name)) queue.add(member);
      }
      return;
    }
    const group = groupNameOf(object);
    // The group counts its members, and a deleted one may have waited for this.
    if (group !== undefined && (before === undefined || after === undefined))
      queue.add(groupKey(where, group), collectMs);
  }

  function onChild(change: Change<Child>): void {
    store.putChild(change);
    if (change.isOwn) return;
    const owners = [change.before, change.after].flatMap((object) => {
      if (object === undefined) return [];
      const target = store.child(targetKeyOf(object) ?? '');
      return [ownerKeyOf(object) ?? [], (target && ownerKeyOf(target)) ?? []].flat();
    });
    for (const key of new Set(owners)) queue.add(key, collectMs);
  }

  function onSecret(change: Change): void {
    for (const key of secrets.put(change)) {
      buses.expireSecrets(key);
      queue.add(key);
    }
  }

  function everything(): void {
    for (const [key] of store.customs()) queue.add(key);
  }

  /** Rollouts to the image of this release that an operator before this one began hold their places. */
  function resumeRollouts(): void {
    const releaseImages = [image ?? defaultImage, natsImage];
    for (const [key, object] of store.customs()) {
      const workload = store.childrenOf(object.metadata.uid ?? '').find(isWorkload);
      const hasIt = workload && containersOf(workload).some((one) => releaseImages.includes(one.image ?? ''));
      if (workload !== undefined && hasIt && isRollingOut(workload)) rollouts.resume(key);
    }
  }

  function lead(): void {
    log.leading();
    void watches.synced.then(() => {
      if (isStopping) return;
      resumeRollouts();
      everything();
      queue.start();
      resync = setInterval(everything, resyncMs);
      resync.unref();
    });
  }

  return {
    get queueDepth() {
      return queue.depth;
    },
    rollouts,
    get isLeading() {
      return lease?.isLeading ?? !isStopping;
    },
    get isReady() {
      return isReady;
    },
    start: () => {
      watches.start();
      void watches.synced.then(() => {
        isReady = true;
      });
      if (lease === undefined) lead();
      else lease.start();
    },
    stop: async () => {
      isStopping = true;
      clearInterval(resync);
      garbage.stop();
      await queue.stop();
      await watches.stop();
      await events.settled();
      await buses.stop();
      await lease?.stop();
    },
  };
}
