/** The phases of a group: its streams, and its managed NATS servers. */
import { natsImage, renderGroup } from '../../infra/index.ts';
import { groupFinalizer, hold, isHeld, isNamespaceLeaving, release } from '../kube/finalizers.ts';
import { conditionIn, type KubeObject } from '../kube/objects.ts';
import type { BusFacts } from '../status/facts.ts';
import { applyChildren, removalPollMs } from './phases.ts';
import type { End, GroupScope, Tools } from './scope.ts';

/** A deleted group waits for its members to go; then its streams are deleted if its deletion policy says so. */
export async function removeGroup(scope: GroupScope, tools: Tools): Promise<End | undefined> {
  if (!scope.isDeleted) return undefined;
  const { object, name, namespace, members, document } = scope;
  const { kube, buses, log } = tools;
  if (members.length > 0) {
    if (document !== undefined) scope.found({ bus: buses.want(document) });
    const names = members.map((key) => key.replace(/\/.*\//, '/')).join(', ');
    const message = `HydrogenGroup/${name} is deleted once nobody uses it; delete ${names}`;
    scope.found({ deleting: { reason: 'WaitingForMembers', message } });
    return 'report';
  }
  if (document !== undefined) scope.found({ bus: buses.look(document) });
  if (takesStreams(object) && isHeld(object, groupFinalizer) && !tools.store.leavesOrphans(object)) {
    const removal = buses.removeStreams(namespace, name);
    if (removal.state === 'pending' || (removal.state === 'blocked' && !(await isNatsLost(scope, tools)))) {
      const message = `NATS does not delete the streams: ${removal.obstacle}; to leave them, set spec.stream.deletionPolicy to Retain`;
      scope.found({ deleting: { reason: 'RemovingStreams', message } });
      scope.again({ againAfterMs: removalPollMs });
      return 'report';
    }
    if (removal.state === 'blocked') log.streamsLeft({ group: scope.key });
  }
  await release(kube, object, groupFinalizer);
  await buses.disconnect(namespace, name);
  return 'released';
}

export async function holdGroup({ object }: GroupScope, { kube }: Tools): Promise<undefined> {
  await hold(kube, object, groupFinalizer);
}

/** The NATS servers of a managed group. */
export async function applyServers(scope: GroupScope, tools: Tools): Promise<undefined> {
  const { document, object } = scope;
  if (document === undefined) return undefined;
  const release = tools.natsImage ?? natsImage;
  const render = (image = release) => renderGroup(document, { natsImage: image });
  return applyChildren(scope, { render, image: release, sources: [object] }, tools);
}

export function declareStreams(scope: GroupScope, { buses }: Tools): undefined {
  if (scope.document !== undefined) scope.found({ bus: asBefore(scope.object, buses.want(scope.document)) });
}

/** True if no NATS will ever delete the streams: our own servers are gone, or the whole namespace is going. */
async function isNatsLost(scope: GroupScope, { kube, store, buses }: Tools): Promise<boolean> {
  const { object, document, namespace, name } = scope;
  // Nobody will correct a document that is being deleted.
  if (document === undefined) return true;
  if (document.spec.nats.managed !== undefined) {
    const servers = store.childrenOf(object.metadata.uid ?? '').find(({ kind }) => kind === 'StatefulSet');
    return servers === undefined || servers.metadata.deletionTimestamp !== undefined;
  }
  return buses.isGone(namespace, name) && (await isNamespaceLeaving(kube, namespace));
}

/** Whether its streams are deleted with it; the rest of the specification may be invalid. */
function takesStreams({ spec }: KubeObject): boolean {
  const { stream } = (spec ?? {}) as { stream?: { deletionPolicy?: unknown } };
  return stream?.deletionPolicy === 'Delete';
}

/** Starting an operator changes no condition: the last one found stays until there is a connection. */
function asBefore(object: KubeObject, bus: BusFacts): BusFacts {
  const condition = conditionIn(object, 'BusReachable');
  const isKnown = condition !== undefined && condition.observedGeneration === object.metadata.generation;
  return bus.state === 'connecting' && isKnown ? { state: 'asBefore', condition } : bus;
}
