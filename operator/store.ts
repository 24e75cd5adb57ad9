/** What the operator knows of the cluster: the custom resources and their children, and who belongs to whom. */
import type { Kind } from '../crds/index.ts';
import type { Change } from './reflector.ts';
import { controllerOf, customTypes, fieldManager, type KubeObject, keyOf } from './resources.ts';

export interface Store {
  /** The custom resource of a key. */
  custom(key: string): KubeObject | undefined;
  customs(): Iterable<[string, KubeObject]>;
  /** Number of custom resources. */
  readonly size: number;
  /** The child of a key, whoever controls it. */
  child(key: string): KubeObject | undefined;
  /** The children that this owner controls. */
  childrenOf(uid: string): readonly KubeObject[];
  /** Keys of the gateways and message processors that name a group, whether it exists or not. */
  membersOf(namespace: string, group: string): readonly string[];
  /** The autoscalers, whoever controls them, that set the number of pods of the deployment of this key. */
  autoscalersOf(key: string): readonly KubeObject[];
  putCustom(change: Change): void;
  putChild(change: Change): void;
}

/** The key of a group, as its members name it. */
export function groupKey(namespace: string, name: string): string {
  return `HydrogenGroup/${namespace}/${name}`;
}

/** The key of the custom resource that controls an object; undefined when none does. */
export function ownerKeyOf(object: KubeObject): string | undefined {
  const owner = controllerOf(object);
  if (owner === undefined || !(owner.kind in customTypes)) return undefined;
  if (owner.apiVersion !== customTypes[owner.kind as Kind].apiVersion) return undefined;
  return `${owner.kind}/${object.metadata.namespace ?? ''}/${owner.name}`;
}

/** The name of the group that a gateway or message processor names, however wrong the rest of it is. */
export function groupNameOf({ kind, spec }: KubeObject): string | undefined {
  if (kind === 'HydrogenGroup') return undefined;
  const name = (spec as { groupRef?: { name?: unknown } } | undefined)?.groupRef?.name;
  return typeof name === 'string' ? name : undefined;
}

/** The key of the deployment whose number of pods an autoscaler sets; undefined for any other object. */
export function targetKeyOf({ kind, metadata, spec }: KubeObject): string | undefined {
  if (kind !== 'HorizontalPodAutoscaler') return undefined;
  const { scaleTargetRef } = spec as { scaleTargetRef?: { kind?: string; name?: string } };
  if (scaleTargetRef?.kind !== 'Deployment') return undefined;
  return `Deployment/${metadata.namespace ?? ''}/${scaleTargetRef.name ?? ''}`;
}

/** An object without what is large and never read: of `managedFields`, who holds the number of replicas is kept. */
export function trimmed(object: KubeObject): KubeObject {
  const { managedFields = [], ...metadata } = object.metadata;
  const holding = managedFields
    .filter(({ fieldsV1 }) => JSON.stringify(fieldsV1 ?? {}).includes('"f:replicas"'))
    .map(({ manager = '', operation = '', subresource }) => ({
      manager,
      operation,
      ...(subresource && { subresource }),
      fieldsV1: { 'f:replicas': {} },
    }));
  const isScaled = object.kind === 'Deployment' && holding.length > 0;
  return { ...object, metadata: isScaled ? { ...metadata, managedFields: holding } : metadata };
}

/** Whether dropping `spec.replicas` from what we apply would take it away from a deployment. */
export function holdsReplicas({ metadata }: KubeObject): boolean {
  const holders = (metadata.managedFields ?? []).filter(({ subresource }) => subresource !== 'status');
  const isOurs = ({ manager, operation }: { manager?: string; operation?: string }): boolean =>
    manager === fieldManager && operation === 'Apply';
  return holders.some(isOurs) && holders.every(isOurs);
}

export function createStore(): Store {
  const custom = new Map<string, KubeObject>();
  const children = new Map<string, KubeObject>();
  const byOwner = new Map<string, Map<string, KubeObject>>();
  const byGroup = new Map<string, Set<string>>();
  const byTarget = new Map<string, Map<string, KubeObject>>();

  function index(object: KubeObject, key: string, isThere: boolean): void {
    const group = groupNameOf(object);
    if (group === undefined) return;
    const of = groupKey(object.metadata.namespace ?? '', group);
    const members = byGroup.get(of) ?? new Set();
    if (isThere) members.add(key);
    else members.delete(key);
    if (members.size === 0) byGroup.delete(of);
    else byGroup.set(of, members);
  }

  function own(object: KubeObject, key: string, isThere: boolean): void {
    const uid = controllerOf(object)?.uid;
    if (uid === undefined) return;
    const owned = byOwner.get(uid) ?? new Map<string, KubeObject>();
    if (isThere) owned.set(key, object);
    else owned.delete(key);
    if (owned.size === 0) byOwner.delete(uid);
    else byOwner.set(uid, owned);
  }

  function target(object: KubeObject, key: string, isThere: boolean): void {
    const of = targetKeyOf(object);
    if (of === undefined) return;
    const scalers = byTarget.get(of) ?? new Map<string, KubeObject>();
    if (isThere) scalers.set(key, object);
    else scalers.delete(key);
    if (scalers.size === 0) byTarget.delete(of);
    else byTarget.set(of, scalers);
  }

  return {
    custom: (key) => custom.get(key),
    customs: () => custom.entries(),
    get size() {
      return custom.size;
    },
    child: (key) => children.get(key),
    childrenOf: (uid) => [...(byOwner.get(uid)?.values() ?? [])],
    membersOf: (namespace, group) => [...(byGroup.get(groupKey(namespace, group)) ?? [])].sort(),
    autoscalersOf: (key) => [...(byTarget.get(key)?.values() ?? [])],
    putCustom: ({ before, after }) => {
      if (before) {
        custom.delete(keyOf(before));
        index(before, keyOf(before), false);
      }
      if (after) {
        custom.set(keyOf(after), after);
        index(after, keyOf(after), true);
      }
    },
    putChild: ({ before, after }) => {
      if (before) {
        children.delete(keyOf(before));
        own(before, keyOf(before), false);
        target(before, keyOf(before), false);
      }
      if (after) {
        children.set(keyOf(after), after);
        own(after, keyOf(after), true);
        target(after, keyOf(after), true);
      }
    },
  };
}
