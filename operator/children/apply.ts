/**
 * From the wanted children of an object to those in the cluster: applied where they differ, left alone where they are
 * not ours, removed where they are no longer wanted. A child carries a digest of what was applied to it, so one that
 * has not changed costs no request, not even after a restart of the operator.
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
  appliedDigest,
  appliedSources,
  childTypeOf,
  controllerOf,
  handOverManager,
  isWorkload,
  type KubeObject,
} from '../kube/objects.ts';
import { asUpdate, replicasAlone, replicasOf, shortName, wantedChild, withoutSources } from './wanted.ts';

/** The outcome for all children of an object. */
export interface Applied {
  /** Objects of the same name that belong to somebody else, as `Service/chat-gateway`. */
  readonly conflicts: readonly string[];
  /** Children of a deleted object of the same name, which the cluster is about to remove. */
  readonly leaving: readonly string[];
  readonly written: readonly string[];
  readonly pruned: readonly string[];
  /**
   * The workload as it is now; the watches may still show it as it was. Undefined: it does not exist, or is not ours.
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

type Verdict = 'unchanged' | 'written' | 'conflict' | 'leaving';

/** The outcome for one object, and the object as it is now when it is ours. */
type One = readonly [verdict: Verdict, child?: Child];

/** No object ever has this version: an apply that names it creates, and is refused where an object exists. */
const versionOfNone = '1';

export class Applier {
  readonly #kube: Kube;
  readonly #store: Store;
  readonly #transform: ChildTransform;
  readonly #onApplied: (child: Child) => void;
  /** The fields that we own of children for which the server does not record some applied field, by owner and key. */
  readonly #partlyOwned = new Map<string, Map<string, OwnedFields>>();

  constructor({ kube, store, transform, onApplied }: ApplierOptions) {
    this.#kube = kube;
    this.#store = store;
    this.#transform = transform;
    this.#onApplied = onApplied;
  }

  /**
   * Applies and prunes. A workload that would be refused keeps everything else from being written.
   * @throws {ApiError} at the first refused object; what comes after it, and pruning, is left for the next time.
   */
  apply(owner: KubeObject, manifests: readonly Manifest[]): Promise<Applied> {
    return this.#applyAll(owner, wantedOf(owner, manifests), true);
  }

  /** Applies those that have no child yet, and leaves all others unchanged. @throws like `apply` */
  complete(owner: KubeObject, manifests: readonly Manifest[]): Promise<Applied> {
    const { uid } = owner.metadata;
    const isMissing = (one: KubeObject): boolean => this.#store.ownChild(uid, keyOf(one)) === undefined;
    return this.#applyAll(owner, wantedOf(owner, manifests).filter(isMissing), false);
  }

  /** True if this is what was applied last; others may have changed it since. */
  isApplied(owner: KubeObject, manifest: Manifest): boolean {
    return this.#isApplied(wantedChild(owner, manifest));
  }

  /** Children that `apply` would create, change or delete; without those that others have changed. */
  differing(owner: KubeObject, manifests: readonly Manifest[]): readonly string[] {
    const wanted = wantedOf(owner, manifests);
    return [...wanted.filter((one) => !this.#isApplied(one)), ...this.#unwanted(owner, wanted)].map(shortName);
  }

  /** Deletes every child, each only after what it runs; resolves with whether none is left. */
  async removeAll(owner: KubeObject): Promise<boolean> {
    const children = this.#store.childrenOf(owner.metadata.uid ?? '');
    for (const child of children.filter(({ metadata }) => metadata.deletionTimestamp === undefined)) {
      await this.#delete(child, 'Foreground');
    }
    return children.length === 0;
  }

  /** Forgets what was applied for an owner that is gone. */
  forget(uid: string): void {
    this.#partlyOwned.delete(uid);
  }

  /**
   * The workload comes last, after pruning: it says from which documents all of this was made. While something is in
   * the way it does not say so, and the next reconciliation does everything again.
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
    const isComplete = those('conflict').length === 0 && those('leaving').length === 0;
    const pruned = isWhole && isComplete ? await this.#prune(owner, wanted) : [];
    let workload: Child | undefined;
    for (const object of wanted.filter(isWorkload)) {
      const [verdict, child] = await this.#applyOne(owner, isComplete ? object : withoutSources(object));
      verdicts.push([object, verdict]);
      workload = child;
    }
    const outcome = { conflicts: those('conflict'), leaving: those('leaving'), written: those('written'), pruned };
    return workload === undefined ? outcome : { ...outcome, workload };
  }

  /**
   * Asks whether the workload would be refused before anything else is written: pods must not get a configuration for a
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

  /** An object without our labels is not watched, so it must be asked for. @param taken what says that it exists */
  async #find(owner: KubeObject, wanted: KubeObject, taken?: unknown): Promise<One> {
    const found = await this.#kube.get(childTypeOf(wanted), wanted.metadata.namespace, wanted.metadata.name);
    if (found === undefined && taken !== undefined) throw taken;
    if (found === undefined) return ['leaving'];
    const controller = controllerOf(found);
    if (controller?.uid === owner.metadata.uid) return this.#update(owner, wanted, this.#transform(found));
    return [controller?.kind === owner.kind && controller.name === owner.metadata.name ? 'leaving' : 'conflict'];
  }

  async #update(owner: KubeObject, wanted: KubeObject, live: Child): Promise<One> {
    if (live.metadata.deletionTimestamp !== undefined) return ['leaving'];
    const type = childTypeOf(wanted);
    if (live.kind === 'Deployment' && live.holdsReplicas && replicasOf(wanted) === undefined) {
      // An autoscaler takes over: a field that its only owner drops would fall back to 1.
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

  /** Children that are not wanted any more. */
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

  async #delete(child: Child, propagation?: 'Foreground'): Promise<void> {
    const { namespace, name, uid } = child.metadata;
    if (uid !== undefined) await this.#kube.delete(childTypeOf(child), namespace, name, uid, propagation);
  }
}

function wantedOf(owner: KubeObject, manifests: readonly Manifest[]): KubeObject[] {
  return manifests.map((manifest) => wantedChild(owner, manifest));
}
