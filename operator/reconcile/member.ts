/** The phases of a gateway or message processor: its workload, and the consumers of a processor. */
import { defaultImage, renderGateway, renderProcessor } from '../../infra/index.ts';
import { hold, isHeld, isNamespaceLeaving, processorFinalizer, release } from '../kube/finalizers.ts';
import { conditionIn } from '../kube/objects.ts';
import { waitingFor } from '../nats/backlog.ts';
import { lagIn } from '../nats/lag.ts';
import { type Removal, removalBlocked } from '../nats/removal.ts';
import type { Facts } from '../status/facts.ts';
import { ownWorkload } from '../status/workload.ts';
import { endpointFacts } from './endpoints.ts';
import { groupFacts } from './parse.ts';
import { applyChildren, checkSecrets, isSecretMissing, removalPollMs } from './phases.ts';
import type { End, MemberScope, Tools } from './scope.ts';

/** How long until it is checked again whether pods that have reported still exist. */
const reportsRetryMs = 3000;

/** Removes the consumers of a deleted processor. Pods go first: a running processor would create its consumers again. */
export async function removeMember(scope: MemberScope, tools: Tools): Promise<End | undefined> {
  if (!scope.isDeleted) return undefined;
  const { object, key, name, groupName = '' } = scope;
  const { kube, applier, rollouts, store, log } = tools;
  rollouts.leave(key);
  if (!isHeld(object, processorFinalizer)) return 'released';
  if (store.leavesOrphans(object)) {
    // Its pods go on, and so do their consumers.
    await release(kube, object, processorFinalizer);
    return 'released';
  }
  if (!(await applier.removeAll(object))) {
    const message = `the consumers of HydrogenMessageProcessor/${name} are removed once its pods are gone`;
    scope.found({ deleting: { reason: 'RemovingConsumers', message } });
    return 'report';
  }
  const removal = removeConsumers(scope, tools);
  if (removal.state === 'pending' || (removal.state === 'blocked' && !(await isNatsLost(scope, tools)))) {
    const message = `NATS does not remove the consumers: ${removal.obstacle}; to leave them, remove the finalizer ${processorFinalizer}`;
    scope.found({ deleting: { reason: 'RemovingConsumers', message } });
    scope.again({ againAfterMs: removalPollMs });
    return 'report';
  }
  if (removal.state === 'blocked') log.consumersLeft({ processor: name, group: groupName });
  await release(kube, object, processorFinalizer);
  return 'released';
}

/** Without a valid group there is nothing to apply. */
export function requireGroup(scope: MemberScope, { store, buses, rollouts }: Tools): End | undefined {
  const { object, groupName = '', groupObject, group } = scope;
  scope.status = lagIn(object, buses.lagOf(scope.namespace, groupName, scope.name));
  if (object.kind === 'HydrogenMessageProcessor') {
    const rooms = buses.waitingOf(scope.namespace, groupName, scope.name);
    const condition = conditionIn(object, 'Delivering');
    const waiting = rooms && waitingFor(rooms, buses.reportsOf(groupName, object));
    scope.found({ backlog: waiting === undefined ? { state: 'asBefore', condition } : { state: 'known', waiting } });
  }
  if (group !== undefined && groupObject !== undefined) {
    const endpoints = endpointFacts(object, groupName, store);
    const gatewayFacts = gatewayFactsOf(scope);
    scope.found({ group: groupFacts(groupObject), ...(endpoints && { endpoints }), ...gatewayFacts });
    return undefined;
  }
  rollouts.leave(scope.key);
  scope.found({ group: { state: 'missing' } });
  return 'report';
}

function gatewayFactsOf({ document }: MemberScope): Pick<Facts, 'exposure' | 'management'> {
  if (document?.kind !== 'HydrogenGateway') return {};
  const { ingress, httpRoute, trustedProxies, management } = document.spec;
  const hasToken = management.tokenSecretRef !== undefined || management.tokens !== undefined;
  const field = ingress ? 'ingress' : 'httpRoute';
  const isExposed = ingress !== undefined || httpRoute !== undefined;
  return {
    management: { hasToken },
    ...(isExposed && { exposure: { field, hasTrustedProxies: trustedProxies !== undefined } }),
  };
}

export async function checkMemberSecrets(scope: MemberScope, tools: Tools): Promise<undefined> {
  if (scope.pausedBy === undefined) await checkSecrets(scope, tools);
}

/** Requests the consumers of a processor. While it waits for a secret, the existing ones stay unchanged. */
export async function declareConsumers(scope: MemberScope, { kube, buses }: Tools): Promise<undefined> {
  const { object, name, namespace, document, group, pausedBy } = scope;
  if (document?.kind !== 'HydrogenMessageProcessor' || group === undefined) return;
  if (pausedBy !== undefined) buses.keepConsumers(namespace, group.metadata.name, name);
  if (pausedBy !== undefined || isSecretMissing(scope)) return;
  await hold(kube, object, processorFinalizer);
  const refusal = buses.wantConsumers(group, document);
  if (refusal !== undefined) scope.found({ group: { state: 'consumersRefused', message: refusal } });
}

export async function applyWorkload(scope: MemberScope, tools: Tools): Promise<undefined> {
  const { object, groupObject, document, group } = scope;
  if (document === undefined || group === undefined || groupObject === undefined) return undefined;
  const render = (image: string | undefined) => {
    const options = image === undefined ? {} : { image };
    return document.kind === 'HydrogenGateway'
      ? renderGateway(document, group, options)
      : renderProcessor(document, group, options);
  };
  const image = document.spec.template.image === undefined ? (tools.image ?? defaultImage) : undefined;
  return applyChildren(scope, { render, image, sources: [object, groupObject] }, tools);
}

/** What the pods say that they run. Comes after the phases: by then the store has the config map that was just applied. */
export function readReports(scope: MemberScope, { store, buses }: Tools): void {
  const { object, namespace, groupName = '' } = scope;
  const children = store.childrenOf(object.metadata.uid ?? '');
  const wanted = children.find(({ configDigest }) => configDigest !== undefined)?.configDigest;
  if (wanted === undefined) return;
  const pods = buses.reportsOf(groupName, object);
  if (pods === undefined) {
    scope.found({ configuration: { state: 'asBefore', condition: conditionIn(object, 'Configured') } });
    return;
  }
  scope.found({ configuration: { state: 'known', wanted, pods } });
  // A pod that was killed has not said that it leaves.
  if (pods.length <= (ownWorkload(store, object)?.existing ?? 0)) return;
  buses.askForReports(namespace, groupName);
  scope.again({ againAfterMs: reportsRetryMs });
}

function removeConsumers({ name, namespace, group, groupObject }: MemberScope, { buses }: Tools): Removal {
  if (groupObject === undefined) return removalBlocked('there is no such group');
  const bus = group && buses.want(group);
  if (bus?.state === 'unchecked') return removalBlocked(bus.message);
  return buses.removeConsumers(namespace, groupObject.metadata.name, name);
}

/** True if there is nothing to wait for: no NATS will ever remove the consumers, or NATS cannot be asked to. */
async function isNatsLost(scope: MemberScope, { kube, buses }: Tools): Promise<boolean> {
  const { namespace, group, groupObject } = scope;
  if (groupObject === undefined) return true;
  const isGroupLeaving = groupObject.metadata.deletionTimestamp !== undefined;
  // Nobody will correct a deleted group, and a foreground deletion removes its managed servers before the group itself.
  if (isGroupLeaving && (group === undefined || group.spec.nats.managed !== undefined)) return true;
  if (group !== undefined && buses.want(group).state === 'unchecked') return true;
  return buses.isGone(namespace, groupObject.metadata.name) && (await isNamespaceLeaving(kube, namespace));
}
