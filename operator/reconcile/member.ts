/** From a gateway or message processor to the workload that runs it, and to the consumers that feed it. */
import type { HydrogenGateway, HydrogenGroup, HydrogenMessageProcessor } from '../../crds/index.ts';
import { secretRefsIn } from '../../crds/secret-refs.ts';
import { defaultImage, type Manifest, renderGateway, renderProcessor } from '../../infra/index.ts';
import type { SecretIndex } from '../cache/secrets.ts';
import type { Store } from '../cache/store.ts';
import type { Applier } from '../children/apply.ts';
import type { Children, Plan } from '../children/children.ts';
import type { Rollouts } from '../children/rollouts.ts';
import type { Kube } from '../kube/client.ts';
import { hold, isHeld, isNamespaceLeaving, processorFinalizer, release } from '../kube/finalizers.ts';
import { groupKey, groupNameOf, keyOf } from '../kube/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { Log } from '../log.ts';
import type { Buses } from '../nats/buses.ts';
import { lagIn } from '../nats/lag.ts';
import type { Facts } from '../status/facts.ts';
import type { Reporter } from '../status/reporter.ts';
import { checked, groupFacts, groupIn } from './parse.ts';
import { type Outcome, soonest } from './queue.ts';

export interface MemberReconcilerOptions {
  readonly kube: Pick<Kube, 'apply' | 'merge' | 'get'>;
  readonly store: Store;
  readonly secrets: SecretIndex;
  readonly applier: Applier;
  readonly children: Children;
  readonly rollouts: Rollouts;
  readonly buses: Buses;
  readonly reporter: Reporter;
  readonly log: Log;
  /** Image of pods whose document names none. @default - that of this release */
  readonly image?: string | undefined;
}

type Member = HydrogenGateway | HydrogenMessageProcessor;

/** How long until NATS is asked again, longer than a bad answer is believed. */
const busRetryMs = 11_000;

/** @throws {ApiError} what is worth trying again */
export function createMemberReconciler(options: MemberReconcilerOptions): (object: KubeObject) => Promise<Outcome> {
  const { kube, store, secrets, applier, children, rollouts, buses, reporter, log } = options;
  const releaseImage = options.image ?? defaultImage;

  async function reconcile(object: KubeObject): Promise<Outcome> {
    const { namespace = '' } = object.metadata;
    const key = keyOf(object);
    const groupName = groupNameOf(object);
    const groupObject = groupName === undefined ? undefined : store.custom(groupKey(namespace, groupName));
    const group = groupIn(groupObject);
    const result = checked<Member>(object);
    // Its pods mount the secrets of the group as well.
    const refs = 'document' in result ? secretRefsIn([group?.spec, result.document.spec]) : [];
    secrets.refer(key, namespace, refs);
    if (object.metadata.deletionTimestamp !== undefined) return remove(object, group, groupObject, groupName);
    if ('issues' in result || group === undefined || groupObject === undefined) rollouts.leave(key);
    if ('issues' in result) {
      await reporter.report(object, { issues: result.issues, groupName });
      return undefined;
    }
    const member = result.document;
    const lag = lagIn(object, buses.lagOf(namespace, groupName ?? '', object));
    if (group === undefined || groupObject === undefined) {
      await reporter.report(object, { groupName, group: { state: 'missing' } }, lag, member);
      return undefined;
    }
    const pausedBy: Facts['pausedBy'] = member.spec.paused ? 'object' : group.spec.paused ? 'group' : undefined;
    const missingSecrets = pausedBy === undefined ? await secrets.missing(namespace, refs) : [];
    const plan: Plan = {
      render: (image) => render(member, group, image),
      image: member.spec.template.image === undefined ? releaseImage : undefined,
      sources: [object, groupObject],
    };
    if (pausedBy !== undefined || missingSecrets.length > 0) {
      rollouts.leave(key);
      const unapplied = pausedBy === undefined ? {} : children.inspect(object, plan);
      const facts = { groupName, group: groupFacts(groupObject), missingSecrets, pausedBy, ...unapplied };
      await reporter.report(object, facts, lag, member);
      return undefined;
    }
    let refused: string | undefined;
    if (member.kind === 'HydrogenMessageProcessor') {
      await hold(kube, object, processorFinalizer);
      refused = await buses.ensureConsumers(group, member);
    }
    const made = await children.make(object, plan);
    const state = refused === undefined ? groupFacts(groupObject) : consumersRefused(refused);
    await reporter.report(object, { groupName, group: state, ...made.facts }, lag, member);
    return soonest(made.again, refused === undefined ? undefined : { againAfterMs: busRetryMs });
  }

  /** Pods first, since a running processor would make its consumers again. */
  async function remove(
    object: KubeObject,
    group: HydrogenGroup | undefined,
    groupObject: KubeObject | undefined,
    groupName: string | undefined,
  ): Promise<Outcome> {
    rollouts.leave(keyOf(object));
    if (!isHeld(object, processorFinalizer)) return undefined;
    const { name } = object.metadata;
    const wait = (message: string): Promise<void> =>
      reporter.report(object, { groupName, deleting: { reason: 'RemovingConsumers', message } });
    if (!(await applier.removeAll(object))) {
      await wait(`the consumers of HydrogenMessageProcessor/${name} are removed once its pods are gone`);
      return undefined;
    }
    const obstacle = await removeConsumers(object, group, groupObject);
    if (obstacle !== undefined && !(await isBusLost(object, group, groupObject))) {
      await wait(
        `NATS does not remove the consumers: ${obstacle}; to leave them, remove the finalizer ${processorFinalizer}`,
      );
      return { againAfterMs: busRetryMs };
    }
    if (obstacle !== undefined) log.consumersLeft({ processor: name, group: groupName ?? '' });
    await release(kube, object, processorFinalizer);
    return undefined;
  }

  /** Resolves with what keeps it from that, if anything does. */
  async function removeConsumers(
    { metadata }: KubeObject,
    group: HydrogenGroup | undefined,
    groupObject: KubeObject | undefined,
  ): Promise<string | undefined> {
    if (groupObject === undefined) return 'there is no such group';
    const bus = group === undefined ? undefined : await buses.check(group);
    if (bus?.state === 'unchecked') return bus.message;
    return buses.removeConsumers(metadata.namespace ?? '', groupObject.metadata.name, metadata.name);
  }

  /** Whether there is nothing to wait for: no NATS that will ever remove the consumers, or none that we could ask. */
  async function isBusLost(
    { metadata }: KubeObject,
    group: HydrogenGroup | undefined,
    groupObject: KubeObject | undefined,
  ): Promise<boolean> {
    if (groupObject === undefined) return true;
    const { namespace = '' } = metadata;
    const isGroupLeaving = groupObject.metadata.deletionTimestamp !== undefined;
    // Nobody will repair a group that is deleted, and a foreground deletion takes its own servers away before it.
    if (isGroupLeaving && (group === undefined || group.spec.nats.managed !== undefined)) return true;
    if (group !== undefined && (await buses.check(group)).state === 'unchecked') return true;
    return buses.isGone(namespace, groupObject.metadata.name) && (await isNamespaceLeaving(kube, namespace));
  }

  return reconcile;
}

function render(member: Member, group: HydrogenGroup, image: string | undefined): Manifest[] {
  const options = image === undefined ? {} : { image };
  return member.kind === 'HydrogenGateway'
    ? renderGateway(member, group, options)
    : renderProcessor(member, group, options);
}

function consumersRefused(message: string) {
  return { state: 'consumersRefused', message } as const;
}
