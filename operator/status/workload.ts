/** The workload and the addresses of an object for its status. */

import { managementServiceName, natsServiceName, ports } from '../../crds/contract.ts';
import type { HydrogenGateway, Kind } from '../../crds/index.ts';
import { selectorOf } from '../../infra/labels.ts';
import { gatewayNames, processorNames } from '../../infra/names.ts';
import type { Store } from '../cache/store.ts';
import { keyOf } from '../kube/keys.ts';
import { isWorkload, type KubeObject } from '../kube/objects.ts';
import type { Workload } from './facts.ts';

/** Maximum number of URLs in a status. */
const maxEndpoints = 2048;

interface WorkloadStatus {
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly readyReplicas?: number;
  readonly availableReplicas?: number;
  readonly updatedReplicas?: number;
  readonly currentRevision?: string;
  readonly updateRevision?: string;
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason?: string;
    readonly message?: string;
  }[];
}

/** Key of the workload that belongs to an object with this kind and name. */
export function workloadKey(kind: Kind, namespace: string, name: string): string {
  switch (kind) {
    case 'HydrogenGroup':
      return `StatefulSet/${namespace}/${natsServiceName(name)}`;
    case 'HydrogenGateway':
      return `Deployment/${namespace}/${gatewayNames(name).workload}`;
    case 'HydrogenMessageProcessor':
      return `Deployment/${namespace}/${processorNames(name).workload}`;
  }
}

/** A deployment or stateful set as the cluster reports it. */
export function workloadOf(object: KubeObject | undefined): Workload | undefined {
  if (object === undefined) return undefined;
  const status = (object.status ?? {}) as WorkloadStatus;
  const progress = status.conditions?.find(({ type }) => type === 'Progressing');
  return {
    object: `${object.kind}/${object.metadata.name}`,
    desired: (object.spec as { replicas?: number } | undefined)?.replicas ?? 1,
    existing: status.replicas ?? 0,
    updated: status.updatedReplicas ?? 0,
    available: status.availableReplicas ?? 0,
    ready: status.readyReplicas ?? 0,
    isObserved: (status.observedGeneration ?? 0) >= (object.metadata.generation ?? 0),
    refusal: refusalIn(status),
    isStuck: progress?.status === 'False' && progress.reason === 'ProgressDeadlineExceeded',
  };
}

/** Why the cluster does not create pods of a deployment: a quota, a limit range, a policy, a webhook. */
function refusalIn({ conditions = [] }: WorkloadStatus): string | undefined {
  const failure = conditions.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True');
  // Every attempt has another pod's name.
  return (
    failure && (failure.message ?? failure.reason ?? '').replaceAll(/^pods "([^"]+)-[a-z0-9]{5}"/g, 'pods "$1-..."')
  );
}

/** The workload that the object controls, if any; a foreign one with the same name does not count. */
export function ownWorkload(store: Store, object: KubeObject): Workload | undefined {
  const { uid = '' } = object.metadata;
  return workloadOf(store.childrenOf(uid).find(isWorkload));
}

/** The containers of a deployment or stateful set; others may have inserted some before ours. */
export function containersOf({ spec }: KubeObject): readonly { readonly name?: string; readonly image?: string }[] {
  const { template } = (spec ?? {}) as {
    template?: { spec?: { containers?: readonly { name?: string; image?: string }[] } };
  };
  return template?.spec?.containers ?? [];
}

/** True while there are pods of an earlier specification, or may be. */
export function isRollingOut(object: KubeObject): boolean {
  const workload = workloadOf(object);
  if (workload === undefined) return false;
  const { isObserved, existing, updated, desired } = workload;
  // A deployment keeps old pods until new ones are available. A stateful set replaces them in place, and the new revision
  // becomes the current one once all of them are ready.
  const { currentRevision, updateRevision } = (object.status ?? {}) as WorkloadStatus;
  return !isObserved || existing > updated || updated < desired || currentRevision !== updateRevision;
}

/** True if its pods do not serve in full: fewer are available than it should have, or the cluster creates none. */
export function isImpaired(object: KubeObject): boolean {
  const workload = workloadOf(object);
  return workload !== undefined && (workload.available < workload.desired || workload.refusal !== undefined);
}

/**
 * True if it should keep its slot for a rollout. The old pods of a deployment stay until new ones are available, so one
 * without enough of them was impaired by something else. A stateful set replaces its pods in place.
 */
export function holdsSlot(object: KubeObject): boolean {
  return isRollingOut(object) && !(object.kind === 'Deployment' && isImpaired(object));
}

/** The label selector of an object's pods, as text. */
export function podSelectorOf(kind: Kind, name: string): string {
  const component = ({ HydrogenGroup: 'nats', HydrogenGateway: 'gateway', HydrogenMessageProcessor: 'mproc' } as const)[
    kind
  ];
  const labels = selectorOf({ component, name, namespace: '' });
  return Object.entries(labels)
    .map((pair) => pair.join('='))
    .join(',');
}

/** The counts of a status, and the selector of its pods for `kubectl scale` and autoscalers. */
export function countsOf(kind: Kind, name: string, workload: Workload | undefined): Readonly<Record<string, unknown>> {
  if (kind === 'HydrogenGroup') return {};
  return {
    replicas: workload?.existing ?? 0,
    readyReplicas: workload?.ready ?? 0,
    availableReplicas: workload?.available ?? 0,
    updatedReplicas: workload?.updated ?? 0,
    selector: podSelectorOf(kind, name),
  };
}

/** Whether the autoscaler of an object's deployment works; undefined: there is none, or it has not reported yet. */
export function scalingOf(store: Store, object: KubeObject): { readonly failure: string | undefined } | undefined {
  const deployment = store.childrenOf(object.metadata.uid ?? '').find(({ kind }) => kind === 'Deployment');
  const scalers = deployment === undefined ? [] : store.autoscalersOf(keyOf(deployment));
  const conditions = scalers.flatMap(({ status }) => (status as WorkloadStatus | undefined)?.conditions ?? []);
  const known = conditions.filter(({ type }) => type === 'AbleToScale' || type === 'ScalingActive');
  const failed = known.find(({ status }) => status === 'False');
  return known.length === 0 ? undefined : { failure: failed && (failed.message ?? failed.type) };
}

interface LoadBalancerStatus {
  readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[] };
}

/**
 * Where clients and services reach a gateway. A route gets TLS from its parents, which are not read: wss is assumed unless
 * they are all attached to by port 80.
 */
export function addressesOf(
  { metadata, spec }: HydrogenGateway,
  service: KubeObject | undefined,
): { readonly endpoints: string[]; readonly url: string } {
  const { name, namespace } = metadata;
  const { ingress, httpRoute } = spec;
  const inside = `ws://${gatewayNames(name).workload}.${namespace}.svc`;
  const ingressScheme = ingress?.tlsSecretName === undefined ? 'ws' : 'wss';
  const routeScheme = httpRoute?.parentRefs.every(({ port }) => port === 80) ? 'ws' : 'wss';
  const { ingress: balancers = [] } = (service?.status as LoadBalancerStatus | undefined)?.loadBalancer ?? {};
  const outside = [
    ...(ingress?.hosts ?? []).map((host) => `${ingressScheme}://${host}`),
    ...(httpRoute?.hostnames ?? []).map((host) => `${routeScheme}://${host}`),
    ...balancers
      .flatMap(({ hostname, ip = '' }) => hostname ?? (ip.includes(':') ? `[${ip}]` : ip))
      .map((host) => `ws://${host}`),
  ];
  const bases = outside.length > 0 ? outside : [inside];
  const endpoints = bases.flatMap((base) => spec.endpoints.map(({ path }) => `${base}${path}`));
  return {
    endpoints: [...new Set(endpoints)].slice(0, maxEndpoints),
    url: `http://${managementServiceName(name)}.${namespace}.svc:${ports.management}`,
  };
}
