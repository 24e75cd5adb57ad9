/**
 * From the wanted children of an object to those in the cluster: applied where they differ, left alone where they are
 * not ours, removed where they are no longer wanted. A child says itself what was applied to it, so one that did not
 * change costs no request, not even the first time that it is looked at.
 */
import { isDeepStrictEqual } from 'node:util';

import type { Manifest } from '../infra/index.ts';
import { isApiError } from './errors.ts';
import type { Kube } from './kube.ts';
import { type Fields, owns } from './ownership.ts';
import { digest } from './projection.ts';
import {
  appliedDigest,
  appliedSources,
  childTypeOf,
  controllerOf,
  handOverManager,
  isWorkload,
  type KubeObject,
  keyOf,
} from './resources.ts';
import type { Store } from './store.ts';
import type { Child, TrimChild } from './trim.ts';

/** What became of the children. */
export interface Applied {
  /** Objects of the same name that belong to somebody else, as `Service/chat-gateway`. */
  readonly conflicts: readonly string[];
  /** Children of a deleted object of the same name, which the cluster is about to remove. */
  readonly leaving: readonly string[];
  readonly written: readonly string[];
  readonly pruned: readonly string[];
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

  async function applyOne(owner: KubeObject, wanted: KubeObject): Promise<Verdict> {
    const key = keyOf(wanted);
    const type = childTypeOf(wanted);
    const known = store.child(key);
    let taken: unknown;
    if (known === undefined) {
      const body = { ...wanted, metadata: { ...wanted.metadata, resourceVersion: versionOfNone } };
      try {
        remember(owner, wanted, await kube.apply(type, body));
        return 'written';
      } catch (error) {
        if (!isApiError(error, 'conflict')) throw error;
        taken = error;
      }
    }
    const isOurs = known !== undefined && controllerOf(known)?.uid === owner.metadata.uid;
    if (isOurs && isInForce(owner, wanted, known)) return 'unchanged';
    // An object without our labels is not watched, so it must be asked for.
    const found = isOurs ? known : await kube.get(type, wanted.metadata.namespace, wanted.metadata.name);
    if (found === undefined && taken !== undefined) throw taken;
    if (found === undefined) return 'leaving';
    if (controllerOf(found)?.uid !== owner.metadata.uid) {
      const other = controllerOf(found);
      return other?.kind === owner.kind && other.name === owner.metadata.name ? 'leaving' : 'conflict';
    }
    if (found.metadata.deletionTimestamp !== undefined) return 'leaving';
    const live = isOurs ? known : trim(found);
    await handOver(live, wanted);
    // With the uid it is an update of that very object; nothing is resurrected, and nobody else's is taken over.
    const body = { ...wanted, metadata: { ...wanted.metadata, ...uidOf(live) } };
    remember(owner, wanted, await kube.apply(type, body));
    return 'written';
  }

  function isInForce(owner: KubeObject, wanted: KubeObject, live: Child): boolean {
    if (!isApplied(wanted) || live.appliedSources !== wanted.metadata.annotations?.[appliedSources]) return false;
    if (!isDeepStrictEqual(live.metadata.ownerReferences, wanted.metadata.ownerReferences)) return false;
    return owns(wanted, live.owned) || partlyOwned.get(owner.metadata.uid ?? '')?.get(keyOf(wanted)) === live.owned;
  }

  function remember(owner: KubeObject, wanted: KubeObject, answer: KubeObject): void {
    const uid = owner.metadata.uid ?? '';
    const child = trim(answer);
    const { owned } = child;
    const partly = partlyOwned.get(uid) ?? new Map<string, Fields>();
    if (owns(wanted, owned)) partly.delete(keyOf(wanted));
    else partly.set(keyOf(wanted), owned);
    if (partly.size > 0) partlyOwned.set(uid, partly);
    else partlyOwned.delete(uid);
    onApplied(child);
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

  async function applyAll(owner: KubeObject, wanted: readonly KubeObject[]): Promise<Applied> {
    await rehearse(owner, wanted);
    const verdicts: [Verdict, KubeObject][] = [];
    for (const object of wanted) verdicts.push([await applyOne(owner, object), object]);
    const those = (verdict: Verdict): string[] =>
      verdicts.filter(([found]) => found === verdict).map(([, object]) => shortName(object));
    return { conflicts: those('conflict'), leaving: those('leaving'), written: those('written'), pruned: [] };
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
    apply: async (owner, manifests) => {
      const wanted = manifests.map((manifest) => childOf(owner, manifest));
      const applied = await applyAll(owner, wanted);
      const isComplete = applied.conflicts.length === 0 && applied.leaving.length === 0;
      return isComplete ? { ...applied, pruned: await prune(owner, wanted) } : applied;
    },
    complete: (owner, manifests) => {
      const wanted = manifests.map((manifest) => childOf(owner, manifest));
      const missing = wanted.filter((object) => store.ownChild(owner.metadata.uid, keyOf(object)) === undefined);
      return applyAll(owner, missing);
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

function uidOf({ metadata }: KubeObject): { uid?: string } {
  return metadata.uid === undefined ? {} : { uid: metadata.uid };
}

/** The number of pods that an object asks for. */
export function replicasOf({ spec }: KubeObject): number | undefined {
  return (spec as { replicas?: number } | undefined)?.replicas;
}
