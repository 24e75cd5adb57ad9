/**
 * The operator: watches of the custom resources and their children fill one queue of keys, and whoever holds the lease
 * works it off. A follower watches as well, so that it can act at once.
 */
import type { HydrogenGroup } from '../crds/index.ts';
import { defaultImage, natsImage } from '../infra/index.ts';
import { createApplier } from './apply.ts';
import { createBuses } from './buses.ts';
import { ApiError } from './errors.ts';
import { createEvents } from './events.ts';
import type { Kube } from './kube.ts';
import { createLease } from './lease.ts';
import type { Log } from './log.ts';
import type { OperatorMetrics } from './metrics.ts';
import { conditionIn, containersOf, isRollingOut } from './observe.ts';
import { createQueue } from './queue.ts';
import { createReconciler } from './reconcile.ts';
import { type Change, createReflector, createTurn, type Reflector, type ReflectorOptions } from './reflector.ts';
import {
  childTypes,
  customTypes,
  type KubeObject,
  keyOf,
  optionalKinds,
  type ResourceType,
  secretMetadataType,
  sharedKinds,
} from './resources.ts';
import { createRest } from './rest.ts';
import { createSecrets } from './secrets.ts';
import { createStatusWriter } from './status-writer.ts';
import { createStore, groupKey, groupNameOf, ownerKeyOf, targetKeyOf } from './store.ts';
import { type Child, createTrimChild, trimCustom, trimSecret } from './trim.ts';
import { createUpgrades, type UpgradeLimit } from './upgrades.ts';

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
  readonly upgradeLimit?: UpgradeLimit | undefined;
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
  /** How often NATS is asked how far processors are behind. @default 30_000 */
  readonly lagMs?: number;
  /** First delay after a failed list or watch. @default 200 */
  readonly watchRetryMs?: number;
  /** Silence after which a watch counts as dead. @default 120_000 */
  readonly inactivityMs?: number;
  readonly lease?: { readonly durationMs: number; readonly renewDeadlineMs: number; readonly retryMs: number };
}

export interface Operator {
  readonly queueDepth: number;
  /** Workloads that are getting the image of this release, and those that wait for it. */
  readonly upgrades: { readonly running: number; readonly waiting: number };
  readonly isLeading: boolean;
  /** Whether every resource has been listed once. */
  readonly isReady: boolean;
  start(): void;
  /** Finishes what is being worked on, and gives the lease up. */
  stop(): Promise<void>;
}

/** Children that the constructs make carry this label. */
const labelSelector = 'app.kubernetes.io/managed-by=hydrogen';

export function createOperator(options: OperatorOptions): Operator {
  const { log, metrics, namespace, timing = {} } = options;
  const { collectMs = 100, resyncMs = 600_000 } = timing;
  const kube = fenced(options.kube, () => lease === undefined || lease.isLeading);
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
    onLag: (key) => queue.add(key),
    ...(timing.lagMs !== undefined && { lagMs: timing.lagMs }),
    onEvent: (group, event, detail) => log.busEvent({ group, event, detail }),
    ...(options.serversOf && { serversOf: options.serversOf }),
  });
  const trimChild = createTrimChild();
  const applier = createApplier({ kube, store, trim: trimChild, onApplied: learn });
  const status = createStatusWriter({
    kube,
    onWritten: (object) => customReflectors.get(object.kind)?.learn(trimCustom(object)),
  });
  const secrets = createSecrets({ kube, isVisible: () => secretReflector.isPresent });
  const upgrades = createUpgrades({
    limit: options.upgradeLimit ?? { percent: 10 },
    total: () => store.size,
    onTurn: (key) => queue.add(key),
  });
  const { image } = options;
  const parts = { kube, store, secrets, applier, upgrades, buses, status, events, log, image };
  const reconciler = createReconciler(parts);
  const queue = createQueue({
    work: async (key) => {
      // A lease that has run out is noticed before the next write, also by a process that was suspended.
      if (lease !== undefined && !lease.isLeading) return undefined;
      const outcome = await reconciler.reconcile(key);
      rest.worked();
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
    createLease({
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

  const turn = createTurn();
  const rest = createRest();
  const childReflectors = new Map(
    childTypes.map((type) => [
      type.kind,
      reflect(type, trimChild, onChild, {
        ...(sharedKinds.includes(type.kind) ? {} : { labelSelector }),
        ...(optionalKinds.includes(type.kind) && { absentOn: ['gone'] }),
      }),
    ]),
  );
  // A right to secrets can be withheld: then what is missing is found out by the pods, and credentials are read in vain.
  const secretReflector = reflect(secretMetadataType, trimSecret, onSecret, {
    absentOn: ['forbidden'],
    onAbsent: (err) => log.secretsHidden({ err }),
  });
  const customReflectors = new Map<string, Reflector>(
    Object.values(customTypes).map((type) => [type.kind, reflect(type, trimCustom, onCustom)]),
  );
  const reflectors: Pick<Reflector, 'synced' | 'start' | 'stop'>[] = [
    ...customReflectors.values(),
    ...childReflectors.values(),
    secretReflector,
  ];

  /** What was just applied need not be waited for, nor looked at again when the watch shows it. */
  function learn(child: Child): void {
    childReflectors.get(child.kind)?.learn(child);
  }

  function reflect<Kept extends KubeObject>(
    type: ResourceType,
    trim: (object: KubeObject) => Kept,
    onChange: (change: Change<Kept>) => void,
    more: Partial<ReflectorOptions<Kept>> = {},
  ): Reflector<Kept> {
    const { watchRetryMs, inactivityMs } = timing;
    return createReflector(kube, {
      type,
      namespace,
      trim,
      turn,
      ...more,
      ...(watchRetryMs !== undefined && { baseDelayMs: watchRetryMs }),
      ...(inactivityMs !== undefined && { inactivityMs }),
      onChange: (change) => {
        rest.worked();
        onChange(change);
      },
      onFailure: (err, delayMs) => {
        metrics.watchRestarted(type.plural);
        log.watchFailed({ resource: type.plural, delayMs, err });
      },
      onBug: (err) => log.failed({ err }),
    });
  }

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
    if (isNews(before, after)) queue.add(keyOf(object));
    else if (!change.isOwn) queue.add(keyOf(object), collectMs);
    if (object.kind === 'HydrogenGroup') {
      if (isNews(before, after) || !isSameReady(before, after)) {
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
  function resumeUpgrades(): void {
    const releaseImages = [image ?? defaultImage, natsImage];
    for (const [key, object] of store.customs()) {
      const workload = store.childrenOf(object.metadata.uid ?? '').find((child) => containersOf(child).length > 0);
      const hasIt = workload && containersOf(workload).some((one) => releaseImages.includes(one.image ?? ''));
      if (workload !== undefined && hasIt && isRollingOut(workload)) upgrades.resume(key);
    }
  }

  function lead(): void {
    log.leading();
    void Promise.all(reflectors.map(({ synced }) => synced)).then(() => {
      if (isStopping) return;
      resumeUpgrades();
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
    upgrades,
    get isLeading() {
      return lease?.isLeading ?? !isStopping;
    },
    get isReady() {
      return isReady;
    },
    start: () => {
      for (const reflector of reflectors) reflector.start();
      void Promise.all(reflectors.map(({ synced }) => synced)).then(() => {
        isReady = true;
      });
      if (lease === undefined) lead();
      else lease.start();
    },
    stop: async () => {
      isStopping = true;
      clearInterval(resync);
      rest.stop();
      await queue.stop();
      await Promise.all(reflectors.map((reflector) => reflector.stop()));
      await events.settled();
      await buses.stop();
      await lease?.stop();
    },
  };
}

/** Writes only while `mayWrite`: an operator that was suspended must not finish what another one has taken over. */
function fenced(kube: Kube, mayWrite: () => boolean): Kube {
  const guard = <A extends unknown[], R>(write: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => {
    return async (...args) => {
      if (mayWrite()) return write(...args);
      throw new ApiError(0, 'the lease has run out');
    };
  };
  return {
    ...kube,
    apply: guard(kube.apply),
    create: guard(kube.create),
    replace: guard(kube.replace),
    merge: guard(kube.merge),
    delete: guard(kube.delete),
  };
}

/** Whether more than the status of an object has changed. */
function isNews(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  const of = ({ metadata }: KubeObject): string =>
    JSON.stringify([metadata.uid, metadata.generation, metadata.deletionTimestamp, metadata.finalizers]);
  return of(before) !== of(after);
}

function isSameReady(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  const of = (object: KubeObject | undefined): string => {
    const { status, message, observedGeneration } = (object && conditionIn(object, 'Ready')) ?? {};
    return JSON.stringify([status, message, observedGeneration]);
  };
  return of(before) === of(after);
}
