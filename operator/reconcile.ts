/**
 * From a key to a cluster that is as its object asks: read, check, resolve the group, render, apply, prune, report. It
 * is always done from scratch and may be done at any time; nothing here waits, that is up to the queue.
 */
import {
  type DocumentIssue,
  type HydrogenGateway,
  type HydrogenGroup,
  type HydrogenMessageProcessor,
  InvalidDocuments,
  type Kind,
  parse,
} from '../crds/index.ts';
import { type Manifest, renderGateway, renderGroup, renderProcessor } from '../infra/index.ts';
import type { Applied, Applier } from './apply.ts';
import type { Buses } from './buses.ts';
import { isApiError } from './errors.ts';
import type { Events } from './events.ts';
import type { Kube } from './kube.ts';
import type { Log } from './log.ts';
import { addressesOf, conditionIn, countsOf, workloadKey, workloadOf } from './observe.ts';
import type { Outcome } from './queue.ts';
import { customTypes, type KubeObject } from './resources.ts';
import type { ApplyProblem, BusFacts, Facts, GroupFacts } from './status.ts';
import type { StatusWriter } from './status-writer.ts';
import { groupKey, groupNameOf, type Store } from './store.ts';

/** Keeps a group until its members are gone, and its streams when they shall go with it. */
export const groupFinalizer = 'hydrogen.dev/group';
/** Keeps a message processor until its consumers are gone. */
export const processorFinalizer = 'hydrogen.dev/consumers';

export interface ReconcilerOptions {
  readonly kube: Kube;
  readonly store: Store;
  readonly applier: Applier;
  readonly buses: Buses;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly log: Log;
  /** Image of pods whose document names none. @default - that of this release */
  readonly image?: string | undefined;
}

export interface Reconciler {
  /** @throws {ApiError} what is worth trying again */
  reconcile(key: string): Promise<Outcome>;
  /** What was remembered of an object that is gone. */
  forget(object: KubeObject): Promise<void>;
}

/** How long until something is tried again that only a person can mend. */
const refusedRetryMs = 300_000;
/** How long until it is looked whether somebody else's object is gone, which is not watched. */
const conflictRetryMs = 60_000;
/** How long until NATS is asked again. */
const busRetryMs = 10_000;

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { kube, store, applier, buses, status, events, log } = options;
  const image = options.image === undefined ? {} : { image: options.image };

  async function reconcile(key: string): Promise<Outcome> {
    const object = store.custom(key);
    if (object === undefined) return undefined;
    return object.kind === 'HydrogenGroup' ? reconcileGroup(object) : reconcileMember(object);
  }

  async function reconcileGroup(object: KubeObject): Promise<Outcome> {
    const { name, namespace = '' } = object.metadata;
    const members = store.membersOf(namespace, name);
    const counts = {
      gateways: members.filter((key) => key.startsWith('HydrogenGateway/')).length,
      processors: members.filter((key) => key.startsWith('HydrogenMessageProcessor/')).length,
    };
    const result = checked<HydrogenGroup>(object);
    const group = 'resource' in result ? result.resource : undefined;
    if (object.metadata.deletionTimestamp !== undefined) return removeGroup(object, group, members, counts);
    await hold(object, groupFinalizer);
    if (group === undefined) return report(object, { issues: issuesOf(result) }, counts);

    const pausedBy = group.spec.paused ? ({ pausedBy: 'object' } as const) : {};
    const made = group.spec.paused ? noProblem : await makeChildren(object, () => renderGroup(group));
    const bus = asBefore(object, await buses.check(group));
    const again = bus.state === 'refused' || bus.state === 'down' ? { againAfterMs: busRetryMs } : undefined;
    return soonest(made.again, again, await report(object, { ...pausedBy, ...made.facts, bus }, counts, group));
  }

  async function removeGroup(
    object: KubeObject,
    group: HydrogenGroup | undefined,
    members: readonly string[],
    counts: object,
  ): Promise<Outcome> {
    const { name, namespace = '' } = object.metadata;
    const bus = group === undefined ? {} : { bus: await buses.check(group) };
    if (members.length > 0) {
      const names = members.map((key) => key.replace(/\/.*\//, '/')).join(', ');
      const message = `HydrogenGroup/${name} is deleted once nobody uses it; delete ${names}`;
      return report(object, { ...bus, deleting: { reason: 'WaitingForMembers', message } }, counts, group);
    }
    if (group?.spec.stream.deletionPolicy === 'Delete' && isHeld(object, groupFinalizer)) {
      if (!(await buses.removeStreams(group))) {
        const message =
          'NATS cannot be reached to delete the streams; to leave them, set spec.stream.deletionPolicy to Retain';
        await report(object, { ...bus, deleting: { reason: 'RemovingStreams', message } }, counts, group);
        return { againAfterMs: busRetryMs };
      }
    }
    await release(object, groupFinalizer);
    await buses.forget(namespace, name);
    return undefined;
  }

  async function reconcileMember(object: KubeObject): Promise<Outcome> {
    const { namespace = '' } = object.metadata;
    const result = checked<HydrogenGateway | HydrogenMessageProcessor>(object);
    const member = 'resource' in result ? result.resource : undefined;
    const groupName = groupNameOf(object);
    const groupObject = groupName === undefined ? undefined : store.custom(groupKey(namespace, groupName));
    const groupResult = groupObject && checked<HydrogenGroup>(groupObject);
    const group = groupResult && 'resource' in groupResult ? groupResult.resource : undefined;

    if (object.metadata.deletionTimestamp !== undefined) return removeMember(object, group, groupName);
    if (member === undefined) return report(object, { issues: issuesOf(result), groupName });
    if (group === undefined || groupObject === undefined) {
      return report(object, { groupName, group: { state: 'missing' } }, {}, member);
    }
    const pausedBy = member.spec.paused ? 'object' : group.spec.paused ? 'group' : undefined;
    if (pausedBy !== undefined) {
      return report(object, { groupName, group: groupFacts(groupObject), pausedBy }, {}, member);
    }
    let consumers: string | undefined;
    if (member.kind === 'HydrogenMessageProcessor') {
      await hold(object, processorFinalizer);
      consumers = await buses.ensureConsumers(group, member);
    }
    const made = await makeChildren(object, () =>
      member.kind === 'HydrogenGateway' ? renderGateway(member, group, image) : renderProcessor(member, group, image),
    );
    const refused = consumers === undefined ? undefined : ({ state: 'consumersRefused', message: consumers } as const);
    const facts = { groupName, group: refused ?? groupFacts(groupObject), ...made.facts };
    const again = refused && { againAfterMs: busRetryMs };
    return soonest(made.again, again, await report(object, facts, {}, member));
  }

  /** Pods first, since a running processor would make its consumers again. */
  async function removeMember(
    object: KubeObject,
    group: HydrogenGroup | undefined,
    groupName: string | undefined,
  ): Promise<Outcome> {
    if (!isHeld(object, processorFinalizer)) return undefined;
    const { name } = object.metadata;
    if (!(await applier.removeAll(object))) {
      const message = `the consumers of HydrogenMessageProcessor/${name} are removed once its pods are gone`;
      return report(object, { groupName, deleting: { reason: 'RemovingConsumers', message } });
    }
    const bus = group === undefined ? undefined : await buses.check(group);
    if (group !== undefined && bus?.state !== 'unchecked' && !(await buses.removeConsumers(group, name))) {
      const message = `NATS cannot be reached to remove the consumers; to leave them, remove the finalizer ${processorFinalizer}`;
      await report(object, { groupName, deleting: { reason: 'RemovingConsumers', message } });
      return { againAfterMs: busRetryMs };
    }
    if (group === undefined || bus?.state === 'unchecked')
      log.consumersLeft({ processor: name, group: groupName ?? '' });
    await release(object, processorFinalizer);
    return undefined;
  }

  async function makeChildren(object: KubeObject, render: () => Manifest[]): Promise<Made> {
    try {
      const applied = await applier.apply(object, render());
      if (applied.written.length > 0 || applied.pruned.length > 0) {
        log.applied({ object: nameOf(object), written: applied.written, pruned: applied.pruned });
      }
      return afterwards(applied);
    } catch (error) {
      if (error instanceof InvalidDocuments) return { facts: { issues: error.issues }, again: undefined };
      if (!isApiError(error, 'refused', 'forbidden', 'gone')) throw error;
      const reason = error.kind === 'forbidden' ? 'ApplyForbidden' : 'ApplyRefused';
      log.applyRefused({ object: nameOf(object), status: error.status, err: error });
      return { facts: { problem: { reason, message: error.message } }, again: { againAfterMs: refusedRetryMs } };
    }
  }

  async function report(
    object: KubeObject,
    found: Partial<Facts>,
    more: object = {},
    resource?: HydrogenGroup | HydrogenGateway | HydrogenMessageProcessor,
  ): Promise<Outcome> {
    const kind = object.kind as Kind; // only the three kinds are watched
    const { name, namespace = '', generation = 0 } = object.metadata;
    const workload = workloadOf(store.child(ownWorkloadKey(object)));
    const hasWorkload = kind !== 'HydrogenGroup' || workload !== undefined || isManaged(resource);
    const facts: Facts = { kind, name, generation, workload, hasWorkload, ...found };
    const addresses = resource?.kind === 'HydrogenGateway' ? addressesOf(resource) : {};
    const changed = await status.write(object, facts, { ...countsOf(kind, name, workload), ...addresses, ...more });
    for (const { type, reason, message } of changed) {
      const isBad = type === 'Stalled';
      events.record(object, { type: isBad ? 'Warning' : 'Normal', reason, action: 'Reconcile', note: message });
    }
    log.reported({ object: `${kind}/${namespace}/${name}`, changed: changed.length });
    return undefined;
  }

  /** The key of the workload that the object controls; a foreign one of that name says nothing about it. */
  function ownWorkloadKey(object: KubeObject): string {
    const { name, namespace = '', uid = '' } = object.metadata;
    const key = safely(() => workloadKey(object.kind as Kind, namespace, name)) ?? '';
    return store
      .childrenOf(uid)
      .some((child) => `${child.kind}/${child.metadata.namespace}/${child.metadata.name}` === key)
      ? key
      : '';
  }

  async function hold(object: KubeObject, finalizer: string): Promise<void> {
    if (isHeld(object, finalizer)) return;
    await kube.apply(customTypes[object.kind as Kind], finalized(object, [finalizer]));
  }

  async function release(object: KubeObject, finalizer: string): Promise<void> {
    if (!isHeld(object, finalizer)) return;
    try {
      await kube.apply(customTypes[object.kind as Kind], finalized(object, []));
    } catch (error) {
      // Gone already: by somebody else's hand.
      if (!isApiError(error, 'gone', 'conflict')) throw error;
    }
  }

  return {
    reconcile,
    forget: async ({ kind, metadata }) => {
      applier.forget(metadata.uid ?? '');
      status.forget(metadata.uid ?? '');
      if (kind === 'HydrogenGroup') await buses.forget(metadata.namespace ?? '', metadata.name);
    },
  };
}

interface Made {
  readonly facts: { readonly issues?: readonly DocumentIssue[]; readonly problem?: ApplyProblem };
  readonly again: Outcome;
}

const noProblem: Made = { facts: {}, again: undefined };

function afterwards({ conflicts, leaving }: Applied): Made {
  if (conflicts.length > 0) {
    return {
      facts: { problem: { reason: 'NameConflict', objects: conflicts } },
      again: { againAfterMs: conflictRetryMs },
    };
  }
  if (leaving.length > 0) {
    return { facts: { problem: { reason: 'WaitingForRemoval', objects: leaving } }, again: { againAfterMs: 1000 } };
  }
  return noProblem;
}

function checked<R>(
  object: KubeObject,
): { resource: R } | { issues: readonly Pick<DocumentIssue, 'path' | 'message'>[] } {
  const { apiVersion, kind, metadata, spec } = object;
  const result = parse({ apiVersion, kind, metadata, spec });
  return result.ok ? { resource: result.resource as R } : { issues: result.issues }; // parse keeps the kind
}

function issuesOf(result: object): readonly Pick<DocumentIssue, 'path' | 'message'>[] {
  return 'issues' in result ? (result.issues as readonly Pick<DocumentIssue, 'path' | 'message'>[]) : [];
}

function groupFacts(group: KubeObject): GroupFacts {
  const ready = conditionIn(group, 'Ready');
  if (ready?.status === 'True' && ready.observedGeneration === group.metadata.generation) return { state: 'ready' };
  return { state: 'notReady', message: ready?.message ?? 'it has not been looked at yet' };
}

/** While a connection is being made, what was found last stays: the start of an operator changes no condition. */
function asBefore(object: KubeObject, bus: BusFacts): BusFacts {
  const before = conditionIn(object, 'BusReachable');
  const isKnown = before?.status === 'True' && before.observedGeneration === object.metadata.generation;
  return bus.state === 'connecting' && isKnown ? { state: 'up' } : bus;
}

function isManaged(resource: HydrogenGroup | HydrogenGateway | HydrogenMessageProcessor | undefined): boolean {
  return resource?.kind === 'HydrogenGroup' && resource.spec.nats.managed !== undefined;
}

function isHeld({ metadata }: KubeObject, finalizer: string): boolean {
  return metadata.finalizers?.includes(finalizer) === true;
}

function finalized({ apiVersion, kind, metadata }: KubeObject, finalizers: readonly string[]): KubeObject {
  const { name, namespace, uid } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace !== undefined && { namespace }), ...(uid !== undefined && { uid }), finalizers },
  };
}

function nameOf({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}

function soonest(...outcomes: readonly Outcome[]): Outcome {
  const times = outcomes.flatMap((outcome) => outcome?.againAfterMs ?? []);
  return times.length === 0 ? undefined : { againAfterMs: Math.min(...times) };
}

/** Undefined where a name leaves no room for those that are made from it. */
function safely<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    if (error instanceof InvalidDocuments) return undefined;
    throw error;
  }
}
