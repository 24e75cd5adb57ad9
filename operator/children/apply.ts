/**
 * Brings the children of an object in the cluster in line with the wanted ones: applies those that differ, leaves alone
 * what is not ours, and removes what is no longer wanted. A child carries a digest of what was applied to it, so one
 * that has not changed costs no request, not even after a restart of the operator.
 */
import { isDeepStrictEqual } from 'node:util';

import type { Manifest } from '../../infra/index.ts';
import type { Store } from '../cache/store.ts';
import type { Child, ChildTransform } from '../cache/transform.ts';
import type { Kube } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import { keyOf } from '../kube/keys.ts';
import { type OwnedFields, owns } from '../kube/managed-fields.ts';
import {
  adoptedBy,
  appliedDigest,
  appliedSources,
  childTypeOf,
  controllerOf,
  handOverManager,
  isWorkload,
  type KubeObject,
} from '../kube/objects.ts';
import { asUpdate, replicasAlone, replicasOf, shortName, wantedChild, withoutSources } from './wanted.ts';

/** The outcome for all of an object's children. */
export interface Applied {
  /** Objects with the same name that belong to somebody else, as `Service/chat-gateway`. */
  readonly conflicts: readonly string[];
  /** Children that an earlier object with the same name has left behind. */
  readonly orphans: readonly string[];
  /** Children of a deleted object with the same name, which the cluster is about to remove. */
  readonly leaving: readonly string[];
  readonly written: readonly string[];
  readonly pruned: readonly string[];
  /**
   * The workload in its current state; the watches may still show an older one. Undefined: it does not exist, or is not
   * ours.
   */
  readonly workload?: Child;
}

export interface ApplierOptions {
  readonly kube: Kube;
  readonly store: Store;
  readonly transform: ChildTransform;
  /** Called with the answer to each apply, which no watch has shown yet. */
  readonly onApplied: (child: Child) => void;
}

type Verdict = 'unchanged' | 'written' | 'conflict' | 'leaving' | 'orphan';

/** The outcome for one object, and its current state if it is ours. */
type One = readonly [verdict: Verdict, child?: Child];

/** No object ever has this version: an apply that specifies it creates the object, and is refused if one exists. */
const versionOfNone = '1';

export class Applier {
  readonly #kube: Kube;
  readonly #store: Store;
  readonly #transform: ChildTransform;
  readonly #onApplied: (child: Child) => void;
  /** For children with an applied field that the server does not record: the fields that we own, by owner and key. */
  readonly #partlyOwned = new Map<string, Map<string, OwnedFields>>();

  constructor({ kube, store, transform, onApplied }: ApplierOptions) {
    this.#kube = kube;
    this.#store = store;
    this.#transform = transform;
    this.#onApplied = onApplied;
  }

  /**
   * Applies and prunes. If the workload would be refused, nothing is written.
   * @throws {ApiError} at the first refused object; everything after it, including pruning, is left for the next time.
   */
  apply(owner: KubeObject, manifests: readonly Manifest[]): Promise<Applied> {
    return this.#applyAll(owner, wantedOf(owner, manifests), true);
  }

  /** Creates the missing children, and leaves all others unchanged. @throws like `apply` */
  complete(owner: KubeObject, manifests: readonly Manifest[]): Promise<Applied> {
    const { uid } = owner.metadata;
    const isMissing = (one: KubeObject): boolean => this.#store.ownChild(uid, keyOf(one)) === undefined;
    return this.#applyAll(owner, wantedOf(owner, manifests).filter(isMissing), false);
  }

  /** True if exactly this was applied last; others may have changed the object since. */
  isApplied(owner: KubeObject, manifest: Manifest): boolean {
    return this.#isApplied(wantedChild(owner, manifest));
  }

  /** Children that `apply` would create, change or delete, except for those that only others have changed. */
  differing(owner: KubeObject, manifests: readonly Manifest[]): readonly string[] {
    const wanted = wantedOf(owner, manifests);
    return [...wanted.filter((one) => !this.#isApplied(one)), ...this.#unwanted(owner, wanted)].map(shortName);
  }

  /** Deletes every child, each after its own dependents; resolves with true if none is left. */
  async removeAll(owner: KubeObject): Promise<boolean> {
    const children = this.#store.childrenOf(owner.metadata.uid ?? '');
    for (const child of children.filter(({ metadata }) => metadata.deletionTimestamp === undefined)) {
      // By its version: the garbage collector may just have released it from its owner, to leave it there.
      const { uid, resourceVersion, namespace, name } = child.metadata;
      if (uid === undefined) continue;
      const seen = resourceVersion === undefined ? { uid } : { uid, resourceVersion };
      await this.#kube.delete(childTypeOf(child), namespace, name, seen, 'Foreground');
    }
    return children.length === 0;
  }

  /** Forgets what was applied for an owner that is gone. */
  forget(uid: string): void {
    this.#partlyOwned.delete(uid);
  }

  /**
   * The workload comes last, after pruning: its annotation records the documents that all children were rendered from.
   * While an object is in the way, the annotation is left out, and the next reconciliation applies everything again.
   */
  async #applyAll(owner: KubeObject, wanted: readonly KubeObject[], isWhole: boolean): Promise<Applied> {
    await this.#rehearse(owner, wanted);
    const verdicts: [KubeObject, Verdict][] = [];
    const those = (verdict: Verdict): string[] =>
      verdicts.filter(([, found]) => found === verdict).map(([object]) => shortName(object));
    for (const object of wanted.filter((one) => !isWorkload(one))) {
      const [verdict] = await this.#applyOne(owner, object);
      verdicts.push([object, verdict]);
    }
    const isComplete = (['conflict', 'leaving', 'orphan'] as const).every((verdict) => those(verdict).length === 0);
    const pruned = isWhole && isComplete ? await this.#prune(owner, wanted) : [];
    let workload: Child | undefined;
    for (const object of wanted.filter(isWorkload)) {
      const [verdict, child] = await this.#applyOne(owner, isComplete ? object : withoutSources(object));
      verdicts.push([object, verdict]);
      workload = child;
    }
    const outcome = {
      conflicts: those('conflict'),
      orphans: those('orphan'),
      leaving: those('leaving'),
      written: those('written'),
      pruned,
    };
    return workload === undefined ? outcome : { ...outcome, workload };
  }

  /**
   * Checks whether the workload would be refused before anything else is written: pods must not get a configuration for a
   * template that they will never have.
   */
  async #rehearse(owner: KubeObject, wanted: readonly KubeObject[]): Promise<void> {
    const workload = wanted.find(isWorkload);
    const live = workload && this.#store.ownChild(owner.metadata.uid, keyOf(workload));
    if (workload === undefined || live === undefined || this.#isApplied(workload)) return;
    const isAlone = wanted.every((one) => one === workload || this.#isApplied(one));
    if (isAlone || live.metadata.deletionTimestamp !== undefined) return;
    await this.#kube.apply(childTypeOf(workload), asUpdate(workload, live), { isDryRun: true });
  }

  async #applyOne(owner: KubeObject, wanted: KubeObject): Promise<One> {
    const known = this.#store.child(keyOf(wanted));
    if (known === undefined) return this.#create(owner, wanted);
    if (controllerOf(known)?.uid !== owner.metadata.uid) return this.#find(owner, wanted);
    return this.#isInForce(owner, wanted, known) ? ['unchanged', known] : this.#update(owner, wanted, known);
  }

  async #create(owner: KubeObject, wanted: KubeObject): Promise<One> {
    const body = { ...wanted, metadata: { ...wanted.metadata, resourceVersion: versionOfNone } };
    try {
      return ['written', this.#remember(owner, wanted, await this.#kube.apply(childTypeOf(wanted), body))];
    } catch (error) {
      if (!isApiError(error, 'conflict')) throw error;
      return this.#find(owner, wanted, error);
    }
  }

  /** An object without our labels is not watched, so it must be read. @param taken the error that says it exists */
  async #find(owner: KubeObject, wanted: KubeObject, taken?: unknown): Promise<One> {
    const found = await this.#kube.get(childTypeOf(wanted), wanted.metadata.namespace, wanted.metadata.name);
    if (found === undefined && taken !== undefined) throw taken;
    if (found === undefined) return ['leaving'];
    const controller = controllerOf(found);
    if (controller?.uid === owner.metadata.uid) return this.#update(owner, wanted, this.#transform(found));
    if (controller === undefined && isAdoptable(found, wanted)) {
      if (adoptedBy(owner).includes(shortName(wanted))) return this.#update(owner, wanted, this.#transform(found));
      return ['orphan'];
    }
    return [controller?.kind === owner.kind && controller.name === owner.metadata.name ? 'leaving' : 'conflict'];
  }

  async #update(owner: KubeObject, wanted: KubeObject, live: Child): Promise<One> {
    if (live.metadata.deletionTimestamp !== undefined) return ['leaving'];
    const type = childTypeOf(wanted);
    if (live.kind === 'Deployment' && live.holdsReplicas && replicasOf(wanted) === undefined) {
      // An autoscaler takes over: if the only owner of the field dropped it, it would fall back to 1.
      await this.#kube.apply(type, replicasAlone(live, wanted), { manager: handOverManager });
    }
    return ['written', this.#remember(owner, wanted, await this.#kube.apply(type, asUpdate(wanted, live)))];
  }

  #isInForce(owner: KubeObject, wanted: KubeObject, live: Child): boolean {
    if (!this.#isApplied(wanted) || live.appliedSources !== wanted.metadata.annotations?.[appliedSources]) return false;
    if (!isDeepStrictEqual(live.metadata.ownerReferences, wanted.metadata.ownerReferences)) return false;
    const partly = this.#partlyOwned.get(owner.metadata.uid ?? '')?.get(keyOf(wanted));
    return owns(wanted, live.owned) || partly === live.owned;
  }

  #isApplied(wanted: KubeObject): boolean {
    return this.#store.child(keyOf(wanted))?.appliedDigest === wanted.metadata.annotations?.[appliedDigest];
  }

  #remember(owner: KubeObject, wanted: KubeObject, answer: KubeObject): Child {
    const uid = owner.metadata.uid ?? '';
    const child = this.#transform(answer);
    const { owned } = child;
    const partly = this.#partlyOwned.get(uid) ?? new Map<string, OwnedFields>();
    if (owns(wanted, owned)) partly.delete(keyOf(wanted));
    else partly.set(keyOf(wanted), owned);
    if (partly.size > 0) this.#partlyOwned.set(uid, partly);
    else this.#partlyOwned.delete(uid);
    this.#onApplied(child);
    return child;
  }

  /** Children that are no longer wanted. */
  #unwanted(owner: KubeObject, wanted: readonly KubeObject[]): Child[] {
    const keys = new Set(wanted.map(keyOf));
    return this.#store
      .childrenOf(owner.metadata.uid ?? '')
      .filter((child) => !keys.has(keyOf(child)) && child.metadata.deletionTimestamp === undefined);
  }

  async #prune(owner: KubeObject, wanted: readonly KubeObject[]): Promise<string[]> {
    const unwanted = this.#unwanted(owner, wanted);
    for (const child of unwanted) await this.#delete(child);
    return unwanted.map(shortName);
  }

  async #delete(child: Child): Promise<void> {
    const { namespace, name, uid } = child.metadata;
    if (uid !== undefined) await this.#kube.delete(childTypeOf(child), namespace, name, { uid });
  }
}

/** True if an object that nobody controls has our labels: nothing that others have made is taken over. */
function isAdoptable(found: KubeObject, wanted: KubeObject): boolean {
  const labels = Object.entries(wanted.metadata.labels ?? {});
  return labels.length > 0 && labels.every(([name, value]) => found.metadata.labels?.[name] === value);
}

function wantedOf(owner: KubeObject, manifests: readonly Manifest[]): KubeObject[] {
  return manifests.map((manifest) => wantedChild(owner, manifest));
}
