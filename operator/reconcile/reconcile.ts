/**
 * From a key to a cluster that is as its object asks: read, check, resolve the group and the secrets, render, apply,
 * prune, report. It is always done from scratch and may be done at any time; nothing here waits, that is up to the queue.
 */

import type { SecretIndex } from '../cache/secrets.ts';
import type { Store } from '../cache/store.ts';
import type { Applier } from '../children/apply.ts';
import { Children } from '../children/children.ts';
import type { Rollouts } from '../children/rollouts.ts';
import type { Kube } from '../kube/client.ts';
import type { Events } from '../kube/events.ts';
import { groupKey, groupNameOf, keyOf } from '../kube/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { Log } from '../log.ts';
import type { Buses } from '../nats/buses.ts';
import { createReporter } from '../status/reporter.ts';
import type { StatusWriter } from '../status/writer.ts';
import { createGroupReconciler } from './group.ts';
import { createMemberReconciler } from './member.ts';
import type { Outcome } from './queue.ts';

export interface ReconcilerOptions {
  readonly kube: Pick<Kube, 'apply' | 'merge' | 'get'>;
  readonly store: Store;
  readonly secrets: SecretIndex;
  readonly applier: Applier;
  readonly rollouts: Rollouts;
  readonly buses: Buses;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly log: Log;
  /** Image of pods whose document names none. @default - that of this release */
  readonly image?: string | undefined;
}

export interface Reconciler {
  /** @throws {ApiError} what is worth trying again */
  reconcile(key: string): Promise<Outcome>;
  /** What was remembered of an object that is gone. */
  forget(object: KubeObject): Promise<void>;
}

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { store, secrets, applier, rollouts, buses } = options;
  const parts = { ...options, children: new Children(options), reporter: createReporter(options) };
  const reconcileGroup = createGroupReconciler(parts);
  const reconcileMember = createMemberReconciler(parts);
  return {
    reconcile: async (key) => {
      const object = store.custom(key);
      if (object === undefined) {
        // It may have been looked at while it went.
        secrets.refer(key, '', []);
        rollouts.leave(key);
        return undefined;
      }
      if (object.kind === 'HydrogenGroup') return reconcileGroup(object);
      try {
        return await reconcileMember(object);
      } finally {
        // Its group may have gone meanwhile, and must not leave a connection behind.
        const { namespace = '' } = object.metadata;
        const group = groupNameOf(object) ?? '';
        if (store.custom(groupKey(namespace, group)) === undefined) await buses.forget(namespace, group);
      }
    },
    forget: async (object) => {
      const { uid = '', namespace = '', name } = object.metadata;
      applier.forget(uid);
      // Another object of the same name may be there already, and refers anew when it is looked at.
      secrets.refer(keyOf(object), namespace, []);
      rollouts.leave(keyOf(object));
      if (object.kind === 'HydrogenGroup') await buses.forget(namespace, name);
    },
  };
}
