/**
 * From the wanted children of an object to those in the cluster: applied where they differ, left alone where they are
 * not ours, removed where they are no longer wanted. A child says itself what was applied to it, so one that did not
 * change costs no request, not even the first time that it is looked at.
 */
import { isDeepStrictEqual } from 'node:util';

import type { Manifest } from '../../infra/index.ts';
import type { Store } from '../cache/store.ts';
import type { Child, TrimChild } from '../cache/transform.ts';
import { digest } from '../digest.ts';
import type { Kube } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import { keyOf } from '../kube/keys.ts';
import { type Fields, owns } from '../kube/managed-fields.ts';
import {
  appliedDigest,
  appliedSources,
  childTypeOf,
  controllerOf,
  handOverManager,
  isWorkload,
  type KubeObject,
} from '../kube/objects.ts';

/** What became of the children. */
export interface Applied {
  /** Objects of the same name that belong to somebody else, as `Service/chat-gateway`. */
  readonly conflicts: readonly string[];
  /** Children of a deleted object of the same name, which the cluster is about to remove. */
  readonly leaving: readonly string[];
  readonly written: readonly string[];
  readonly pruned: readonly string[];
  /** The workload as it is after that; the watches may still show it as it was. Undefined: it is not there, or not ours. */
  readonly workload?: Child;
}

export interface Applier {
  /**
   * A workload that would be refused keeps everything else from being written.
   * @throws {ApiError} at the first refused object; what comes after it, and pruning, is left for the next time.
   */
  apply(owner: KubeObject, manifests: readonly Manifest[]): Promise<Applied>;
  /** Applies those of which there is no child yet, and leaves all others as they are. @throws like `apply` */
  complete(owner: KubeObject, manifests: readonly Manifest[]): Promise<Applied>;
  /** Whether this is what was applied last; others may have changed it since. */
  isApplied(owner: KubeObject, manifest: Manifest): boolean;
  /** Children that `apply` would create, change or delete; not those that others have changed. */
  differing(owner: KubeObject, manifests: readonly Manifest[]): readonly string[];
  /** Deletes every child, each only after what it runs; resolves with whether none is left. */
  removeAll(owner: KubeObject): Promise<boolean>;
  /** Forgets what was applied for an owner that is gone. */
  forget(uid: string): void;
}

export interface ApplierOptions {
  readonly kube: Kube;
  readonly store: Store;
  readonly trim: TrimChild;
  /** Called with the answer to each apply, which no watch has shown yet. */
  readonly onApplied: (child: Child) => void;
}

/** No object has ever this version: an apply that names it creates, and is refused where there is one already. */
const versionOfNone = '1';

export function createApplier({ kube, store, trim, onApplied }: ApplierOptions): Applier {
  /** What we own of children of which the server leaves some applied field out of account, by owner and key. */
  const partlyOwned = new Map<string, Map<string, Fields>>();

  async function applyOne(owner: KubeObject, wanted: KubeObject): Promise<One> {
    const key = keyOf(wanted);
    const type = childTypeOf(wanted);
    const known = store.child(key);
    let taken: unknown;
    if (known === undefined) {
      const body = { ...wanted, metadata: { ...wanted.metadata, resourceVersion: versionOfNone } };
      try {
        return ['written', remember(owner, wanted, await kube.apply(type, body))];
      } catch (error) {
        if (!isApiError(error, 'conflict')) throw error;
        taken = error;
      }
    }
    const isOurs = known !== undefined && controllerOf(known)?.uid === owner.metadata.uid;
    if (isOurs && isInForce(owner, wanted, known)) return ['unchanged', known];
    // An object without our labels is not watched, so it must be asked for.
    const found = isOurs ? known : await kube.get(type, wanted.metadata.namespace, wanted.metadata.name);
    if (found === undefined && taken !== undefined) throw taken;
    if (found === undefined) return ['leaving'];
    if (controllerOf(found)?.uid !== owner.metadata.uid) {
      const other = controllerOf(found);
      return [other?.kind === owner.kind && other.name === owner.metadata.name ? 'leaving' : 'conflict'];
    }
    if (found.metadata.deletionTimestamp !== undefined) return ['leaving'];
    const live = isOurs ? known : trim(found);
    await handOver(live, wanted);
    // With the uid it is an update of that very object; nothing is resurrected, and nobody else's is taken over.
    const body = { ...wanted, metadata: { ...wanted.metadata, ...uidOf(live) } };
    return ['written', remember(owner, wanted, await kube.apply(type, body))];
  }

  function isInForce(owner: KubeObject, wanted: KubeObject, live: Child): boolean {
    if (!isApplied(wanted) || live.appliedSources !== wanted.metadata.annotations?.[appliedSources]) return false;
    if (!isDeepStrictEqual(live.metadata.ownerReferences, wanted.metadata.ownerReferences)) return false;
    return owns(wanted, live.owned) || partlyOwned.get(owner.metadata.uid ?? '')?.get(keyOf(wanted)) === live.owned;
  }

  function remember(owner: KubeObject, wanted: KubeObject, answer: KubeObject): Child {
    const uid = owner.metadata.uid ?? '';
    const child = trim(answer);
    const { owned } = child;
    const partly = partlyOwned.get(uid) ?? new Map<string, Fields>();
    if (owns(wanted, owned)) partly.delete(keyOf(wanted));
    else partly.set(keyOf(wanted), owned);
    if (partly.size > 0) partlyOwned.set(uid, partly);
    else partlyOwned.delete(uid);
    onApplied(child);
    return child;
  }

  /** Keeps the number of pods when an autoscaler takes over: a field that its only owner drops falls back to 1. */
  async function handOver(live: Child, wanted: KubeObject): Promise<void> {
    if (live.kind !== 'Deployment' || replicasOf(wanted) !== undefined || !live.holdsReplicas) return;
    const { apiVersion, kind } = wanted;
    const { namespace, name } = wanted.metadata;
    const metadata = { name, ...(namespace !== undefined && { namespace }), ...uidOf(live) };
    const body = { apiVersion, kind, metadata, spec: { replicas: replicasOf(live) ?? 1 } };
    await kube.apply(childTypeOf(wanted), body, { manager: handOverManager });
  }

  /**
   * Asks whether the workload would be refused before anything else is written: pods must not get a configuration that goes
   * with a template which they will never have.
   */
  async function rehearse(owner: KubeObject, wanted: readonly KubeObject[]): Promise<void> {
    const workload = wanted.find(isWorkload);
    const live = workload && store.ownChild(owner.metadata.uid, keyOf(workload));
    if (workload === undefined || live === undefined || isApplied(workload)) return;
    if (live.metadata.deletionTimestamp !== undefined || wanted.every((one) => one === workload || isApplied(one)))
      return;
    const body = { ...workload, metadata: { ...workload.metadata, ...uidOf(live) } };
    await kube.apply(childTypeOf(workload), body, { isDryRun: true });
  }

  /**
   * The workload is last, after pruning: it says from which documents all of this was made. While something stands in the way
   * it does not say so, and the next time all is done again.
   */
  async function applyAll(owner: KubeObject, wanted: readonly KubeObject[], isWhole: boolean): Promise<Applied> {
    await rehearse(owner, wanted);
    const verdicts: [KubeObject, ...One][] = [];
    const those = (verdict: Verdict): string[] =>
      verdicts.filter(([, found]) => found === verdict).map(([object]) => shortName(object));
    const others = wanted.filter((object) => !isWorkload(object));
    for (const object of others) verdicts.push([object, ...(await applyOne(owner, object))]);
    const isComplete = those('conflict').length === 0 && those('leaving').length === 0;
    const pruned = isWhole && isComplete ? await prune(owner, wanted) : [];
    let workload: Child | undefined;
    for (const object of wanted.filter(isWorkload)) {
      const [verdict, child] = await applyOne(owner, isComplete ? object : withoutSources(object));
      verdicts.push([object, verdict]);
      workload = child;
    }
    const outcome = { conflicts: those('conflict'), leaving: those('leaving'), written: those('written'), pruned };
    return workload === undefined ? outcome : { ...outcome, workload };
  }

  function isApplied(wanted: KubeObject): boolean {
    return store.child(keyOf(wanted))?.appliedDigest === wanted.metadata.annotations?.[appliedDigest];
  }

  /** Children that are not wanted any more. */
  function unwanted(owner: KubeObject, wanted: readonly KubeObject[]): Child[] {
    const keys = new Set(wanted.map(keyOf));
    return store
      .childrenOf(owner.metadata.uid ?? '')
      .filter((child) => !keys.has(keyOf(child)) && child.metadata.deletionTimestamp === undefined);
  }

  async function prune(owner: KubeObject, wanted: readonly KubeObject[]): Promise<string[]> {
    const those = unwanted(owner, wanted);
    for (const child of those) {
      const { namespace, name, uid } = child.metadata;
      if (uid !== undefined) await kube.delete(childTypeOf(child), namespace, name, uid);
    }
    return those.map(shortName);
  }

  return {
    apply: (owner, manifests) => {
      const wanted = manifests.map((manifest) => childOf(owner, manifest));
      return applyAll(owner, wanted, true);
    },
    complete: (owner, manifests) => {
      const wanted = manifests.map((manifest) => childOf(owner, manifest));
      const missing = wanted.filter((object) => store.ownChild(owner.metadata.uid, keyOf(object)) === undefined);
      return applyAll(owner, missing, false);
    },
    isApplied: (owner, manifest) => isApplied(childOf(owner, manifest)),
    differing: (owner, manifests) => {
      const wanted = manifests.map((manifest) => childOf(owner, manifest));
      return [...wanted.filter((object) => !isApplied(object)), ...unwanted(owner, wanted)].map(shortName);
    },
    removeAll: async (owner) => {
      const children = store.childrenOf(owner.metadata.uid ?? '');
      for (const child of children.filter(({ metadata }) => metadata.deletionTimestamp === undefined)) {
        const { namespace, name, uid } = child.metadata;
        if (uid !== undefined) await kube.delete(childTypeOf(child), namespace, name, uid, 'Foreground');
      }
      return children.length === 0;
    },
    forget: (uid) => void partlyOwned.delete(uid),
  };
}

type Verdict = 'unchanged' | 'written' | 'conflict' | 'leaving';

/** What became of one object, and the object as it is now when it is ours. */
type One = readonly [verdict: Verdict, child?: Child];

/** `Service/chat-gateway`. */
function shortName({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.name}`;
}

/** What is applied: the rendered object, whose it is, and a digest of both, which does not speak of its sources. */
function childOf({ apiVersion, kind, metadata }: KubeObject, manifest: Manifest): KubeObject {
  const rendered = manifest as unknown as KubeObject; // infra/ renders complete objects
  const { name, uid = '' } = metadata;
  const owner = { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
  const child = { ...rendered, metadata: { ...rendered.metadata, ownerReferences: [owner] } };
  const { [appliedSources]: _, ...about } = rendered.metadata.annotations ?? {};
  const digested = digest({ ...child, metadata: { ...child.metadata, annotations: about } });
  const annotations = { ...rendered.metadata.annotations, [appliedDigest]: digested };
  return { ...child, metadata: { ...child.metadata, annotations } };
}

function withoutSources(object: KubeObject): KubeObject {
  const { [appliedSources]: _, ...annotations } = object.metadata.annotations ?? {};
  return { ...object, metadata: { ...object.metadata, annotations } };
}

function uidOf({ metadata }: KubeObject): { uid?: string } {
  return metadata.uid === undefined ? {} : { uid: metadata.uid };
}

/** The number of pods that an object asks for. */
export function replicasOf({ spec }: KubeObject): number | undefined {
  return (spec as { replicas?: number } | undefined)?.replicas;
}
