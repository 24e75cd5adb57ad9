/** From a group to its streams, and to the NATS servers that run for it. */
import type { HydrogenGroup } from '../../crds/index.ts';
import { secretRefsIn } from '../../crds/secret-refs.ts';
import { natsImage, renderGroup } from '../../infra/index.ts';
import type { SecretIndex } from '../cache/secrets.ts';
import type { Store } from '../cache/store.ts';
import { allMade, type Children, type Plan } from '../children/children.ts';
import type { Rollouts } from '../children/rollouts.ts';
import type { Kube } from '../kube/client.ts';
import { groupFinalizer, hold, isHeld, isNamespaceLeaving, release } from '../kube/finalizers.ts';
import { keyOf } from '../kube/keys.ts';
import { conditionIn, type KubeObject } from '../kube/objects.ts';
import type { Log } from '../log.ts';
import type { Buses } from '../nats/buses.ts';
import type { BusFacts } from '../status/facts.ts';
import type { Reporter } from '../status/reporter.ts';
import { checked } from './parse.ts';
import { type Outcome, soonest } from './queue.ts';

export interface GroupReconcilerOptions {
  readonly kube: Pick<Kube, 'apply' | 'merge' | 'get'>;
  readonly store: Store;
  readonly secrets: SecretIndex;
  readonly children: Children;
  readonly rollouts: Rollouts;
  readonly buses: Buses;
  readonly reporter: Reporter;
  readonly log: Log;
}

/** How long until NATS is asked again, longer than a bad answer is believed. */
const busRetryMs = 11_000;

/** @throws {ApiError} what is worth trying again */
export function createGroupReconciler(options: GroupReconcilerOptions): (object: KubeObject) => Promise<Outcome> {
  const { kube, store, secrets, children, rollouts, buses, reporter, log } = options;

  async function reconcile(object: KubeObject): Promise<Outcome> {
    const { name, namespace = '' } = object.metadata;
    const members = store.membersOf(namespace, name);
    const counts = {
      gateways: members.filter((key) => key.startsWith('HydrogenGateway/')).length,
      processors: members.filter((key) => key.startsWith('HydrogenMessageProcessor/')).length,
    };
    const result = checked<HydrogenGroup>(object);
    const group = 'document' in result ? result.document : undefined;
    const refs = secretRefsIn(group?.spec);
    secrets.refer(keyOf(object), namespace, refs);
    if (object.metadata.deletionTimestamp !== undefined) return remove(object, group, members, counts);
    await hold(kube, object, groupFinalizer);
    if ('issues' in result) {
      rollouts.leave(keyOf(object));
      await reporter.report(object, { issues: result.issues }, counts);
      return undefined;
    }
    const { document } = result;
    const missingSecrets = await secrets.missing(namespace, refs);
    const isApplied = !document.spec.paused && missingSecrets.length === 0;
    const plan: Plan = {
      render: (image = natsImage) => renderGroup(document, { natsImage: image }),
      image: natsImage,
      sources: [object],
    };
    const made = isApplied ? await children.make(object, plan) : allMade;
    if (!isApplied) rollouts.leave(keyOf(object));
    const bus = asBefore(object, await buses.check(document));
    const again = ['refused', 'down', 'conflict'].includes(bus.state) ? { againAfterMs: busRetryMs } : undefined;
    const pause = document.spec.paused ? ({ pausedBy: 'object', ...children.inspect(object, plan) } as const) : {};
    await reporter.report(object, { ...pause, missingSecrets, ...made.facts, bus }, counts, document);
    return soonest(made.again, again);
  }

  async function remove(
    object: KubeObject,
    group: HydrogenGroup | undefined,
    members: readonly string[],
    counts: object,
  ): Promise<Outcome> {
    const { name, namespace = '' } = object.metadata;
    if (members.length > 0) {
      const bus = group === undefined ? {} : { bus: await buses.check(group) };
      const names = members.map((key) => key.replace(/\/.*\//, '/')).join(', ');
      const message = `HydrogenGroup/${name} is deleted once nobody uses it; delete ${names}`;
      await reporter.report(object, { ...bus, deleting: { reason: 'WaitingForMembers', message } }, counts, group);
      return undefined;
    }
    const bus = group === undefined ? {} : { bus: buses.look(group) };
    if (takesStreams(object) && isHeld(object, groupFinalizer)) {
      const obstacle = await buses.removeStreams(namespace, name);
      if (obstacle !== undefined && !(await isBusLost(object, group))) {
        const message = `NATS does not delete the streams: ${obstacle}; to leave them, set spec.stream.deletionPolicy to Retain`;
        await reporter.report(object, { ...bus, deleting: { reason: 'RemovingStreams', message } }, counts, group);
        return { againAfterMs: busRetryMs };
      }
      if (obstacle !== undefined) log.streamsLeft({ group: keyOf(object) });
    }
    await release(kube, object, groupFinalizer);
    await buses.forget(namespace, name);
    return undefined;
  }

  /** Whether there is no NATS that will ever delete the streams: ours has gone, or all that is in the namespace goes. */
  async function isBusLost({ metadata }: KubeObject, group: HydrogenGroup | undefined): Promise<boolean> {
    // Nobody will repair what is deleted.
    if (group === undefined) return true;
    const { uid = '', namespace = '', name } = metadata;
    if (group.spec.nats.managed !== undefined) {
      const servers = store.childrenOf(uid).find(({ kind }) => kind === 'StatefulSet');
      return servers === undefined || servers.metadata.deletionTimestamp !== undefined;
    }
    return buses.isGone(namespace, name) && (await isNamespaceLeaving(kube, namespace));
  }

  return reconcile;
}

/** Whether its streams go with it, however wrong the rest of it is. */
function takesStreams({ spec }: KubeObject): boolean {
  const { stream } = (spec ?? {}) as { stream?: { deletionPolicy?: unknown } };
  return stream?.deletionPolicy === 'Delete';
}

/** The start of an operator changes no condition: what was found last stays while a connection is being made. */
function asBefore(object: KubeObject, bus: BusFacts): BusFacts {
  const condition = conditionIn(object, 'BusReachable');
  const isKnown = condition !== undefined && condition.observedGeneration === object.metadata.generation;
  return bus.state === 'connecting' && isKnown ? { state: 'asBefore', condition } : bus;
}
