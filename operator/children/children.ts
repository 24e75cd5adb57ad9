/**
 * The children of an object, as the constructs render them: applied, and what stands in the way told as a fact. A new
 * image of a release waits for its turn, and the number of pods is left to whatever autoscaler there is.
 */
import { type DocumentIssue, InvalidDocuments } from '../../crds/index.ts';
import type { Manifest } from '../../infra/index.ts';
import type { Store } from '../cache/store.ts';
import { isApiError } from '../kube/errors.ts';
import { appliedSources, controllerOf, isWorkload, type KubeObject, keyOf } from '../kube/objects.ts';
import type { OperatorLog } from '../log.ts';
import type { Outcome } from '../reconcile/queue.ts';
import type { ApplyProblem } from '../status/facts.ts';
import { containersOf, isRollingOut } from '../status/workload.ts';
import { type Applied, type Applier, replicasOf } from './apply.ts';
import { digest } from './projection.ts';
import type { Upgrades } from './rollouts.ts';

/** What became of them, as facts for the status. */
export interface Made {
  readonly facts: {
    readonly issues?: readonly DocumentIssue[];
    readonly problem?: ApplyProblem;
    readonly heldImage?: string;
    readonly unapplied?: readonly string[];
  };
  readonly again: Outcome;
}

/** Nothing was to be made, or all of it is there. */
export const allMade: Made = { facts: {}, again: undefined };

/** What the children of an object are made from. */
export interface Plan {
  /** @param image undefined: the document names one */
  readonly render: (image: string | undefined) => Manifest[];
  /** The image of this release; undefined: the document names one, which is its user's to change. */
  readonly image: string | undefined;
  /** The documents that it is made from: the object, and its group. */
  readonly sources: readonly KubeObject[];
}

export interface Children {
  /** @throws {ApiError} what is worth trying again */
  make(owner: KubeObject, plan: Plan): Promise<Made>;
  /** What `make` would do, as a fact; nothing is changed. */
  inspect(owner: KubeObject, plan: Plan): Made['facts'];
}

export interface ChildrenOptions {
  readonly applier: Applier;
  readonly store: Store;
  readonly upgrades: Upgrades;
  readonly log: OperatorLog;
}

/** How long until it is looked whether somebody else's object is gone, which is not watched. */
const conflictRetryMs = 60_000;
/** How long until it is looked whether a deleted child is gone, whose label may not be ours. */
const leavingRetryMs = 1000;

export function createChildren({ applier, store, upgrades, log }: ChildrenOptions): Children {
  /** What is to be applied, and whether it is this workload's turn to become what this release makes of it. */
  function next(owner: KubeObject, plan: Plan): Next {
    const { uid } = owner.metadata;
    const manifests = render(owner, plan, plan.image);
    const manifest = manifests.find((one) => isWorkload(asObject(one)));
    const workload = manifest && asObject(manifest);
    const live = workload && store.ownChild(uid, keyOf(workload));
    if (manifest === undefined || workload === undefined || live === undefined) return { manifests };
    const present = imageOf(live, workload);
    const isOtherImage = plan.image !== undefined && present !== undefined && present !== imageOf(workload, workload);
    // Nobody asked for anything else: it is the release that makes something else of it.
    const isByRelease = live.appliedSources === workload.metadata.annotations?.[appliedSources];
    if (applier.isApplied(owner, manifest) || (!isByRelease && !isOtherImage)) return { manifests };
    if (upgrades.admit(keyOf(owner))) return { manifests };
    // What its user has changed meanwhile is done all the same.
    return { manifests: render(owner, plan, present), heldImage: present ?? '', isHeld: isByRelease };
  }

  function render(owner: KubeObject, plan: Plan, image: string | undefined): Manifest[] {
    const rendered = plan.render(plan.image === undefined ? undefined : image);
    return rendered.map((manifest) => withSources(withoutScaled(owner, manifest), plan.sources));
  }

  /** Without the number of pods where somebody else's autoscaler sets it. */
  function withoutScaled(owner: KubeObject, manifest: Manifest): Manifest {
    const object = asObject(manifest);
    if (object.kind !== 'Deployment') return manifest;
    const foreign = store.autoscalersOf(keyOf(object)).some((one) => controllerOf(one)?.uid !== owner.metadata.uid);
    if (!foreign) return manifest;
    const { replicas: _, ...spec } = object.spec as { replicas?: number };
    return { ...manifest, spec };
  }

  return {
    inspect: (owner, plan) => {
      try {
        const live = store.childrenOf(owner.metadata.uid ?? '').find(isWorkload);
        const workload =
          live &&
          plan
            .render(plan.image)
            .map(asObject)
            .find(({ kind }) => kind === live.kind);
        // Which image a release has is nothing that was asked for.
        const image = live && workload && imageOf(live, workload);
        const unapplied = applier.differing(owner, render(owner, plan, image ?? plan.image));
        return unapplied.length === 0 ? {} : { unapplied };
      } catch (error) {
        if (error instanceof InvalidDocuments) return { issues: error.issues };
        throw error;
      }
    },
    make: async (owner, plan) => {
      try {
        const { manifests, heldImage, isHeld = false } = next(owner, plan);
        const applied = await (isHeld ? applier.complete(owner, manifests) : applier.apply(owner, manifests));
        const { written, pruned, workload } = applied;
        // What changes no pod is through at once.
        if (heldImage === undefined && (workload === undefined || !isRollingOut(workload)))
          upgrades.leave(keyOf(owner));
        if (written.length > 0 || pruned.length > 0) log.applied({ object: keyOf(owner), written, pruned });
        const made = afterwards(applied);
        return heldImage === undefined ? made : { ...made, facts: { ...made.facts, heldImage } };
      } catch (error) {
        if (error instanceof InvalidDocuments) {
          upgrades.leave(keyOf(owner));
          return { facts: { issues: error.issues }, again: undefined };
        }
        if (!isApiError(error, 'refused', 'forbidden', 'gone')) throw error;
        const reason = error.kind === 'forbidden' ? 'ApplyForbidden' : 'ApplyRefused';
        log.applyRefused({ object: keyOf(owner), status: error.status, err: error });
        // A server that has just started denies what it will allow in a moment.
        return { facts: { problem: { reason, message: error.message } }, again: { isFutile: true } };
      }
    },
  };
}

interface Next {
  readonly manifests: readonly Manifest[];
  readonly heldImage?: string;
  /** Whether what is there stays as it is. */
  readonly isHeld?: boolean;
}

/** The image of the container of `object` that is the first one of `rendered`. */
function imageOf(object: KubeObject, rendered: KubeObject): string | undefined {
  const [ours] = containersOf(rendered);
  return containersOf(object).find(({ name }) => name === ours?.name)?.image;
}

/** A workload says what it was made from. */
function withSources(manifest: Manifest, sources: readonly KubeObject[]): Manifest {
  const { metadata, kind } = asObject(manifest);
  if (!isWorkload({ kind })) return manifest;
  // Whether the number of pods is ours to set is not asked for in a document.
  const isScaled = replicasOf(asObject(manifest)) !== undefined;
  const made = digest([sources.map(({ metadata: { uid, generation } }) => [uid, generation]), isScaled]);
  return { ...manifest, metadata: { ...metadata, annotations: { ...metadata.annotations, [appliedSources]: made } } };
}

function afterwards({ conflicts, leaving }: Applied): Made {
  if (conflicts.length > 0) {
    const problem = { reason: 'NameConflict', objects: conflicts } as const;
    return { facts: { problem }, again: { againAfterMs: conflictRetryMs } };
  }
  if (leaving.length > 0) {
    const problem = { reason: 'WaitingForRemoval', objects: leaving } as const;
    return { facts: { problem }, again: { againAfterMs: leavingRetryMs } };
  }
  return allMade;
}

function asObject(manifest: Manifest): KubeObject {
  return manifest as unknown as KubeObject; // infra/ renders complete objects
}
