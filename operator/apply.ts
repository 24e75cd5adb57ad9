/**
 * From the wanted children of an object to those in the cluster: applied where they differ, left alone where they are
 * not ours, removed where they are no longer wanted. An object that did not change costs no request.
 */
import type { Manifest } from '../infra/index.ts';
import type { Kube } from './kube.ts';
import { digest, project } from './projection.ts';
import { childTypeOf, controllerOf, handOverManager, type KubeObject, keyOf } from './resources.ts';
import { holdsReplicas, type Store, trimmed } from './store.ts';

/** What became of the children. */
export interface Applied {
  /** Objects of the same name that belong to somebody else, as `Service/chat-gateway`. */
  readonly conflicts: readonly string[];
  /** Children of a deleted object of the same name, which the cluster is about to remove. */
  readonly leaving: readonly string[];
  /** Applied a moment ago and not shown by a watch yet: to be looked at again. */
  readonly unseen: readonly string[];
  readonly written: readonly string[];
  readonly pruned: readonly string[];
}

export interface Applier {
  /** @throws {ApiError} at the first refused object; what comes after it, and pruning, is left for the next time. */
  apply(owner: KubeObject, manifests: readonly Manifest[]): Promise<Applied>;
  /** Deletes every child, each only after what it runs; resolves with whether none is left. */
  removeAll(owner: KubeObject): Promise<boolean>;
  /** Forgets what was applied for an owner that is gone. */
  forget(uid: string): void;
}

interface Memory {
  readonly wanted: string;
  readonly answered: string;
  readonly atMs: number;
  /** Whether a watch has shown it since. */
  isSeen: boolean;
}

/** How long a watch may take to show what was applied. */
const unseenMs = 5000;

export function createApplier(kube: Kube, store: Store): Applier {
  const memories = new Map<string, Map<string, Memory>>();

  async function applyOne(owner: KubeObject, desired: KubeObject, memory: Map<string, Memory>): Promise<Verdict> {
    const key = keyOf(desired);
    const type = childTypeOf(desired);
    const { namespace, name } = desired.metadata;
    const known = store.child(key);
    const before = memory.get(key);
    const wanted = digest(desired);
    const isOurs = known !== undefined && controllerOf(known)?.uid === owner.metadata.uid;
    if (isOurs && before?.wanted === wanted && before.answered === digest(project(desired, known))) return 'unchanged';
    if (isOurs && before !== undefined) before.isSeen = true;
    // The watch is behind: asking again for every change of a sibling would double the calls of a busy start.
    if (
      known === undefined &&
      before?.wanted === wanted &&
      !before.isSeen &&
      performance.now() - before.atMs < unseenMs
    ) {
      return 'unseen';
    }
    // An object without our labels is not watched, so it must be asked for.
    const live = isOurs ? known : await kube.get(type, namespace, name);
    if (live !== undefined && controllerOf(live)?.uid !== owner.metadata.uid) {
      const other = controllerOf(live);
      return other?.kind === owner.kind && other.name === owner.metadata.name ? 'leaving' : 'conflict';
    }
    if (live?.metadata.deletionTimestamp !== undefined) return 'leaving';
    if (live !== undefined) await handOver(live, desired);
    // With the uid it is an update of that very object; nothing is resurrected, and nobody else's is taken over.
    const body = live === undefined ? desired : { ...desired, metadata: { ...desired.metadata, ...uidOf(live) } };
    const answer = await kube.apply(type, body);
    memory.set(key, {
      wanted,
      answered: digest(project(desired, answer)),
      atMs: performance.now(),
      isSeen: isOurs,
    });
    return 'written';
  }

  /** Keeps the number of pods when an autoscaler takes over: a field that its only owner drops falls back to 1. */
  async function handOver(live: KubeObject, desired: KubeObject): Promise<void> {
    if (live.kind !== 'Deployment' || replicasOf(desired) !== undefined || !holdsReplicas(trimmed(live))) return;
    const { apiVersion, kind } = desired;
    const { namespace, name } = desired.metadata;
    const metadata = { name, ...(namespace !== undefined && { namespace }), ...uidOf(live) };
    const body = { apiVersion, kind, metadata, spec: { replicas: replicasOf(live) ?? 1 } };
    await kube.apply(childTypeOf(desired), body, { manager: handOverManager });
  }

  async function prune(owner: KubeObject, desired: ReadonlySet<string>): Promise<string[]> {
    const unwanted = store
      .childrenOf(owner.metadata.uid ?? '')
      .filter((child) => !desired.has(keyOf(child)) && child.metadata.deletionTimestamp === undefined);
    for (const child of unwanted) {
      const { namespace, name, uid } = child.metadata;
      if (uid !== undefined) await kube.delete(childTypeOf(child), namespace, name, uid);
    }
    return unwanted.map(shortName);
  }

  return {
    apply: async (owner, manifests) => {
      const uid = owner.metadata.uid ?? '';
      const memory = memories.get(uid) ?? new Map<string, Memory>();
      memories.set(uid, memory);
      const desired = manifests.map((manifest) => ownedBy(owner, manifest));
      const verdicts: [Verdict, KubeObject][] = [];
      for (const object of desired) verdicts.push([await applyOne(owner, object, memory), object]);
      const those = (verdict: Verdict): string[] =>
        verdicts.filter(([found]) => found === verdict).map(([, object]) => shortName(object));
      const keys = new Set(desired.map(keyOf));
      for (const key of [...memory.keys()].filter((one) => !keys.has(one))) memory.delete(key);
      const [conflicts, leaving] = [those('conflict'), those('leaving')];
      const isComplete = conflicts.length === 0 && leaving.length === 0;
      return {
        conflicts,
        leaving,
        unseen: those('unseen'),
        written: those('written'),
        pruned: isComplete ? await prune(owner, keys) : [],
      };
    },
    removeAll: async (owner) => {
      const children = store.childrenOf(owner.metadata.uid ?? '');
      for (const child of children.filter(({ metadata }) => metadata.deletionTimestamp === undefined)) {
        const { namespace, name, uid } = child.metadata;
        if (uid !== undefined) await kube.delete(childTypeOf(child), namespace, name, uid, 'Foreground');
      }
      return children.length === 0;
    },
    forget: (uid) => void memories.delete(uid),
  };
}

type Verdict = 'unchanged' | 'unseen' | 'written' | 'conflict' | 'leaving';

/** `Service/chat-gateway`. */
function shortName({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.name}`;
}

function ownedBy({ apiVersion, kind, metadata }: KubeObject, manifest: Manifest): KubeObject {
  const child = manifest as unknown as KubeObject; // infra/ renders complete objects
  const owner = {
    apiVersion,
    kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
  return { ...child, metadata: { ...child.metadata, ownerReferences: [owner] } };
}

function uidOf({ metadata }: KubeObject): { uid?: string } {
  return metadata.uid === undefined ? {} : { uid: metadata.uid };
}

function replicasOf({ spec }: KubeObject): number | undefined {
  return (spec as { replicas?: number } | undefined)?.replicas;
}
