/**
 * The operator's view of the cluster: the custom resources and their children, with indexes by owner, group and target.
 */
import { groupKey, groupNameOf, targetKeyOf } from '../kube/keys.ts';
import { controllerOf, isWorkload, type KubeObject, leavesOrphans } from '../kube/objects.ts';
import type { Change } from './reflector.ts';
import type { Child } from './transform.ts';

export interface Store {
  /** The custom resource of a key. */
  custom(key: string): KubeObject | undefined;
  customs(): Iterable<[string, KubeObject]>;
  /** Number of workloads of all custom resources. */
  readonly workloads: number;
  /** The child of a key, whoever controls it. */
  child(key: string): Child | undefined;
  /** The child of a key, if this owner controls it. */
  ownChild(uid: string | undefined, key: string): Child | undefined;
  /** The children that this owner controls. */
  childrenOf(uid: string): readonly Child[];
  /** Keys of the gateways and message processors that refer to a group, whether it exists or not. */
  membersOf(namespace: string, group: string): readonly string[];
  /** The autoscalers, whoever controls them, that set the number of pods of the deployment with this key. */
  autoscalersOf(key: string): readonly KubeObject[];
  /**
   * True if the children of this object are to stay although it is being deleted. The garbage collector's finalizer, which
   * says so, may be gone again by now.
   */
  leavesOrphans(object: KubeObject): boolean;
  putCustom(change: Change): void;
  putChild(change: Change<Child>): void;
}

export function createStore(): Store {
  const custom = new Map<string, KubeObject>();
  const children = new Map<string, Child>();
  const byOwner = new Map<string, Map<string, Child>>();
  const byGroup = new Map<string, Set<string>>();
  const byTarget = new Map<string, Map<string, KubeObject>>();
  const workloads = new Set<string>();
  /** The uids of objects that were seen with the garbage collector's finalizer. */
  const orphaning = new Set<string>();

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

  function own(object: Child, key: string, isThere: boolean): void {
    const uid = controllerOf(object)?.uid;
    if (uid === undefined) return;
    const owned = byOwner.get(uid) ?? new Map<string, Child>();
    if (isThere) owned.set(key, object);
    else owned.delete(key);
    if (owned.size === 0) byOwner.delete(uid);
    else byOwner.set(uid, owned);
    if (isThere && isWorkload(object)) workloads.add(key);
    else workloads.delete(key);
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
    get workloads() {
      return workloads.size;
    },
    child: (key) => children.get(key),
    ownChild: (uid, key) => (uid === undefined ? undefined : byOwner.get(uid)?.get(key)),
    childrenOf: (uid) => [...(byOwner.get(uid)?.values() ?? [])],
    membersOf: (namespace, group) => [...(byGroup.get(groupKey(namespace, group)) ?? [])].sort(),
    autoscalersOf: (key) => [...(byTarget.get(key)?.values() ?? [])],
    leavesOrphans: ({ metadata }) => orphaning.has(metadata.uid ?? ''),
    putCustom: ({ key, before, after }) => {
      if (after !== undefined && leavesOrphans(after)) orphaning.add(after.metadata.uid ?? '');
      if (after === undefined) orphaning.delete(before?.metadata.uid ?? '');
      if (before) index(before, key, false);
      if (after) index(after, key, true);
      if (after) custom.set(key, after);
      else custom.delete(key);
    },
    putChild: ({ key, before, after }) => {
      if (before) own(before, key, false);
      if (before) target(before, key, false);
      if (after) own(after, key, true);
      if (after) target(after, key, true);
      if (after) children.set(key, after);
      else children.delete(key);
    },
  };
}
