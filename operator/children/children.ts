/**
 * Applies the children of an object as the constructs render them, and reports obstacles as facts. Changes that a new
 * release makes to unchanged documents' children wait for their turn. Where somebody else's autoscaler sets the number
 * of pods, it is left alone.
 */
import { type DocumentIssue, InvalidDocuments } from '../../crds/index.ts';
import type { Manifest } from '../../infra/index.ts';
import type { Store } from '../cache/store.ts';
import type { Child } from '../cache/transform.ts';
import { digest } from '../digest.ts';
import { type ApiError, isApiError } from '../kube/errors.ts';
import { keyOf } from '../kube/keys.ts';
import {
  appliedSources,
  childTypes,
  controllerOf,
  isWorkload,
  type KubeObject,
  optionalKinds,
} from '../kube/objects.ts';
import type { OperatorLog } from '../log.ts';
import type { ApplyProblem } from '../status/facts.ts';
import { containersOf, holdsSlot, isImpaired, workloadOf } from '../status/workload.ts';
import type { Applied, Applier } from './apply.ts';
import type { Rollouts } from './rollouts.ts';
import { objectOf, replicasOf } from './wanted.ts';

/** The outcome as facts for the status. */
export interface Made {
  readonly facts: {
    readonly issues?: readonly DocumentIssue[];
    readonly problem?: ApplyProblem;
    readonly heldImage?: string;
    readonly heldBy?: readonly string[];
    readonly unapplied?: readonly string[];
  };
  /** When to try again if nothing changes, in the queue's terms; undefined: never. */
  readonly again: { readonly againAfterMs: number } | { readonly isFutile: true } | undefined;
}

/** There was nothing to create, or everything exists. */
const allMade: Made = { facts: {}, again: undefined };

/** The sources of an object's children. */
export interface Plan {
  /** @param image undefined: the document specifies one */
  readonly render: (image: string | undefined) => Manifest[];
  /** The image of this release; undefined: the document specifies one, which only its user changes. */
  readonly image: string | undefined;
  /** The documents that it is rendered from: the object and its group. */
  readonly sources: readonly KubeObject[];
}

export interface ChildrenOptions {
  readonly applier: Applier;
  readonly store: Store;
  readonly rollouts: Rollouts;
  readonly log: OperatorLog;
}

/** How long until a foreign object, which is not watched, is checked again. */
const conflictRetryMs = 60_000;
/** How long until a child that is being deleted, and may lack our label, is checked again. */
const leavingRetryMs = 1000;

export class Children {
  readonly #applier: Applier;
  readonly #store: Store;
  readonly #rollouts: Rollouts;
  readonly #log: OperatorLog;

  constructor({ applier, store, rollouts, log }: ChildrenOptions) {
    this.#applier = applier;
    this.#store = store;
    this.#rollouts = rollouts;
    this.#log = log;
  }

  /** @throws {ApiError} when it is worth retrying */
  async make(owner: KubeObject, plan: Plan): Promise<Made> {
    try {
      const { manifests, heldImage, isHeld } = this.#next(owner, plan);
      const applied = await (isHeld ? this.#applier.complete(owner, manifests) : this.#applier.apply(owner, manifests));
      const { written, pruned, workload } = applied;
      // A change that replaces no pods is a rollout that completes at once.
      if (heldImage === undefined && (workload === undefined || !holdsSlot(workload)))
        this.#rollouts.leave(keyOf(owner));
      else if (workload !== undefined) this.#rollouts.setStuck(keyOf(owner), workloadOf(workload)?.isStuck === true);
      if (written.length > 0 || pruned.length > 0) this.#log.applied({ object: keyOf(owner), written, pruned });
      const made = madeBy(applied);
      if (heldImage === undefined) return made;
      return { ...made, facts: { ...made.facts, heldImage, heldBy: this.#rollouts.stuck } };
    } catch (error) {
      if (error instanceof InvalidDocuments) {
        this.#rollouts.leave(keyOf(owner));
        return { facts: { issues: error.issues }, again: undefined };
      }
      if (!isApiError(error, 'refused', 'forbidden', 'gone')) throw error;
      return this.#refused(owner, error);
    }
  }

  /** Reports the changes that `make` would make as a fact, without making them. */
  inspect(owner: KubeObject, plan: Plan): Made['facts'] {
    try {
      const live = this.#store.childrenOf(owner.metadata.uid ?? '').find(isWorkload);
      // The document did not ask for the image of a release.
      const image = live && this.#presentImage(live, plan);
      const unapplied = this.#applier.differing(owner, this.#render(owner, plan, image ?? plan.image));
      return unapplied.length === 0 ? {} : { unapplied };
    } catch (error) {
      if (error instanceof InvalidDocuments) return { issues: error.issues };
      throw error;
    }
  }

  /** The objects to apply now: those of this release only if it is this workload's turn. */
  #next(owner: KubeObject, plan: Plan): Next {
    const manifests = this.#render(owner, plan, plan.image);
    const manifest = manifests.find((one) => isWorkload(objectOf(one)));
    const workload = manifest && objectOf(manifest);
    const live = workload && this.#store.ownChild(owner.metadata.uid, keyOf(workload));
    if (manifest === undefined || workload === undefined || live === undefined) return { manifests, isHeld: false };
    const present = imageOf(live, workload);
    const isOtherImage = plan.image !== undefined && present !== undefined && present !== imageOf(workload, workload);
    // The documents are unchanged: this release renders them differently.
    const isByRelease = live.appliedSources === workload.metadata.annotations?.[appliedSources];
    const isRollout = !this.#applier.isApplied(owner, manifest) && (isByRelease || isOtherImage);
    if (!isRollout || isImpaired(live) || this.#rollouts.admit(keyOf(owner))) return { manifests, isHeld: false };
    // A change to the documents is applied nevertheless, without the new image.
    return { manifests: this.#render(owner, plan, present), heldImage: present ?? '', isHeld: isByRelease };
  }

  #presentImage(live: Child, plan: Plan): string | undefined {
    const workload = plan
      .render(plan.image)
      .map(objectOf)
      .find(({ kind }) => kind === live.kind);
    return workload && imageOf(live, workload);
  }

  #render(owner: KubeObject, plan: Plan, image: string | undefined): Manifest[] {
    const rendered = plan.render(plan.image === undefined ? undefined : image);
    return rendered.map((manifest) => withSources(this.#withoutScaled(owner, manifest), plan.sources));
  }

  /** Without the number of pods where somebody else's autoscaler sets it. */
  #withoutScaled(owner: KubeObject, manifest: Manifest): Manifest {
    const object = objectOf(manifest);
    if (object.kind !== 'Deployment') return manifest;
    const scalers = this.#store.autoscalersOf(keyOf(object));
    if (scalers.every((one) => controllerOf(one)?.uid === owner.metadata.uid)) return manifest;
    const { replicas: _, ...spec } = object.spec as { replicas?: number };
    return { ...manifest, spec };
  }

  #refused(owner: KubeObject, error: ApiError): Made {
    this.#log.applyRefused({ object: keyOf(owner), status: error.status, err: error });
    // A server that has just started may refuse what it will accept a moment later.
    return { facts: { problem: problemOf(error) }, again: { isFutile: true } };
  }
}

function problemOf({ kind, message }: ApiError): ApplyProblem {
  if (kind === 'forbidden') return { reason: 'ApplyForbidden', message };
  // The namespace exists, since it has our object; so the API server does not know the kind.
  const absent = kind === 'gone' ? childTypes.find(({ plural }) => message.includes(`/${plural}/`)) : undefined;
  if (absent !== undefined && optionalKinds.includes(absent.kind)) {
    return { reason: 'KindMissing', kind: absent.kind, message };
  }
  return { reason: 'ApplyRefused', message };
}

interface Next {
  readonly manifests: readonly Manifest[];
  readonly heldImage?: string;
  /** Whether existing children stay unchanged. */
  readonly isHeld: boolean;
}

/** The image in `object` of the container that comes first in `rendered`. */
function imageOf(object: KubeObject, rendered: KubeObject): string | undefined {
  const [ours] = containersOf(rendered);
  return containersOf(object).find(({ name }) => name === ours?.name)?.image;
}

/** Annotates a workload with a digest of the documents that it was rendered from. */
function withSources(manifest: Manifest, sources: readonly KubeObject[]): Manifest {
  const object = objectOf(manifest);
  if (!isWorkload(object)) return manifest;
  // The documents do not say whether the number of pods is ours to set.
  const isScaled = replicasOf(object) !== undefined;
  const made = digest([sources.map(({ metadata: { uid, generation } }) => [uid, generation]), isScaled]);
  const annotations = { ...object.metadata.annotations, [appliedSources]: made };
  return { ...manifest, metadata: { ...object.metadata, annotations } };
}

function madeBy({ conflicts, orphans, leaving }: Applied): Made {
  if (conflicts.length > 0) {
    const problem = { reason: 'NameConflict', objects: conflicts } as const;
    return { facts: { problem }, again: { againAfterMs: conflictRetryMs } };
  }
  if (orphans.length > 0) {
    const problem = { reason: 'Orphaned', objects: orphans } as const;
    return { facts: { problem }, again: { againAfterMs: conflictRetryMs } };
  }
  if (leaving.length > 0) {
    const problem = { reason: 'WaitingForRemoval', objects: leaving } as const;
    return { facts: { problem }, again: { againAfterMs: leavingRetryMs } };
  }
  return allMade;
}
