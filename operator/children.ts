/**
 * The children of an object, as the constructs render them: applied, and what stands in the way told as a fact. A new
 * image of a release waits for its turn, and the number of pods is left to whatever autoscaler there is.
 */
import { type DocumentIssue, InvalidDocuments } from '../crds/index.ts';
import type { Manifest } from '../infra/index.ts';
import type { Applied, Applier } from './apply.ts';
import { isApiError } from './errors.ts';
import type { Log } from './log.ts';
import { containersOf, isRollingOut } from './observe.ts';
import type { Outcome } from './queue.ts';
import { controllerOf, type KubeObject, keyOf } from './resources.ts';
import type { ApplyProblem } from './status.ts';
import type { Store } from './store.ts';
import type { Upgrades } from './upgrades.ts';

/** What became of them, as facts for the status. */
export interface Made {
  readonly facts: {
    readonly issues?: readonly DocumentIssue[];
    readonly problem?: ApplyProblem;
    readonly heldImage?: string;
  };
  readonly again: Outcome;
}

/** Nothing was to be made, or all of it is there. */
export const allMade: Made = { facts: {}, again: undefined };

export interface Children {
  /**
   * @param image what `render` takes as the image of this release; undefined: the document names one, which is its
   *   user's to change
   * @throws {ApiError} what is worth trying again
   */
  make(owner: KubeObject, render: (image: string | undefined) => Manifest[], image: string | undefined): Promise<Made>;
}

export interface ChildrenOptions {
  readonly applier: Applier;
  readonly store: Store;
  readonly upgrades: Upgrades;
  readonly log: Log;
}

/** How long until it is looked whether somebody else's object is gone, which is not watched. */
const conflictRetryMs = 60_000;
/** How long until it is looked whether a deleted child is gone, whose label may not be ours. */
const leavingRetryMs = 1000;

export function createChildren({ applier, store, upgrades, log }: ChildrenOptions): Children {
  /** The objects to apply; with the present image while the new one waits for its turn. */
  function wanted(
    owner: KubeObject,
    render: (image: string | undefined) => Manifest[],
    image: string | undefined,
  ): { manifests: Manifest[]; heldImage?: string } {
    const manifests = render(image);
    const workload = manifests.map(asObject).find(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
    const live = workload && ownChild(owner, keyOf(workload));
    if (workload === undefined || live === undefined) return { manifests };
    const key = keyOf(owner);
    const [ours] = containersOf(workload);
    const present = containersOf(live).find(({ name }) => name === ours?.name)?.image;
    if (image === undefined || present === undefined || present === ours?.image) {
      if (!isRollingOut(live)) upgrades.leave(key);
      return { manifests };
    }
    return upgrades.admit(key) ? { manifests } : { manifests: render(present), heldImage: present };
  }

  function ownChild(owner: KubeObject, key: string): KubeObject | undefined {
    const child = store.child(key);
    return child && controllerOf(child)?.uid === owner.metadata.uid ? child : undefined;
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
    make: async (owner, render, image) => {
      try {
        const { manifests, heldImage } = wanted(owner, render, image);
        const applied = await applier.apply(
          owner,
          manifests.map((manifest) => withoutScaled(owner, manifest)),
        );
        const { written, pruned } = applied;
        if (written.length > 0 || pruned.length > 0) log.applied({ object: keyOf(owner), written, pruned });
        const made = afterwards(applied);
        return heldImage === undefined ? made : { ...made, facts: { ...made.facts, heldImage } };
      } catch (error) {
        if (error instanceof InvalidDocuments) return { facts: { issues: error.issues }, again: undefined };
        if (!isApiError(error, 'refused', 'forbidden', 'gone')) throw error;
        const reason = error.kind === 'forbidden' ? 'ApplyForbidden' : 'ApplyRefused';
        log.applyRefused({ object: keyOf(owner), status: error.status, err: error });
        // A server that has just started denies what it will allow in a moment.
        return { facts: { problem: { reason, message: error.message } }, again: { isInVain: true } };
      }
    },
  };
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
