/** The kinds of objects that the operator watches and writes, and their places in the API. */
import type { ConditionType } from '../../crds/conditions.ts';
import { apiVersion } from '../../crds/contract.ts';
import type { Condition, Kind } from '../../crds/index.ts';

/** Field manager of everything that the operator applies. */
export const fieldManager = 'hydrogen-operator';

/** Field manager that owns the number of pods while an autoscaler takes it over. */
export const handOverManager = 'hydrogen-operator-replicas';

/**
 * Annotation of every child: a digest of what was applied, by which the operator sees after a restart that nothing
 * differs.
 */
export const appliedDigest = 'hydrogen.dev/applied-digest';

/**
 * Annotation of every workload: a digest of the generations of the documents that it was rendered from. If they are
 * unchanged and the object to apply differs, the difference comes from a new release of the operator.
 */
export const appliedSources = 'hydrogen.dev/applied-sources';

/**
 * Annotation of a custom resource: the children of an earlier object, left behind by `kubectl delete --cascade=orphan`, that
 * this one takes over, as `Deployment/chat-gateway,Service/chat-gateway`.
 */
export const adoptAnnotation = 'hydrogen.dev/adopt';

/** Finalizer of an object that is being deleted without its children; the garbage collector removes it. */
const orphanFinalizer = 'orphan';

/** True if the children of a deleted object are to stay. */
export function leavesOrphans({ metadata }: Pick<KubeObject, 'metadata'>): boolean {
  return metadata.finalizers?.includes(orphanFinalizer) === true;
}

/** The children that an object takes over, as `Service/chat-gateway`. */
export function adoptedBy({ metadata }: Pick<KubeObject, 'metadata'>): readonly string[] {
  return (metadata.annotations?.[adoptAnnotation] ?? '').split(',').map((name) => name.trim());
}

/** An object as the API server returns it. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMetadata;
  readonly spec?: unknown;
  readonly status?: unknown;
  readonly [field: string]: unknown;
}

/** The part of `metadata` that the operator reads. */
export interface ObjectMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFields[];
}

/** The owner of an object. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** Which field manager owns which fields. */
export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: unknown;
}

/** A resource of the API. */
export interface ResourceType {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** Whether lists and watches request only `metadata`. */
  readonly isMetadataOnly?: boolean;
  /** Silence after which a call fails. @default - the same as for any call */
  readonly answerMs?: number;
}

const type = (version: string, kind: string, plural: string): ResourceType => ({ apiVersion: version, kind, plural });

/** The custom resources. */
export const customTypes: Readonly<Record<Kind, ResourceType>> = {
  HydrogenGroup: type(apiVersion, 'HydrogenGroup', 'hydrogengroups'),
  HydrogenGateway: type(apiVersion, 'HydrogenGateway', 'hydrogengateways'),
  HydrogenMessageProcessor: type(apiVersion, 'HydrogenMessageProcessor', 'hydrogenmessageprocessors'),
};

/**
 * Every kind that the constructs of infra/ emit. A kind that is no longer emitted stays listed, so that it is pruned.
 */
export const childTypes: readonly ResourceType[] = [
  type('v1', 'ConfigMap', 'configmaps'),
  type('v1', 'Service', 'services'),
  type('apps/v1', 'Deployment', 'deployments'),
  type('apps/v1', 'StatefulSet', 'statefulsets'),
  type('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
  type('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  type('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  type('networking.k8s.io/v1', 'Ingress', 'ingresses'),
  type('gateway.networking.k8s.io/v1', 'HTTPRoute', 'httproutes'),
];

/** Kinds whose definitions come with other software and may be absent. */
export const optionalKinds: readonly string[] = ['HTTPRoute'];

/** Kinds whose foreign objects matter too: somebody else's autoscaler may set the number of our pods. */
export const sharedKinds: readonly string[] = ['HorizontalPodAutoscaler'];

export const namespaceType: ResourceType = type('v1', 'Namespace', 'namespaces');
export const podType: ResourceType = type('v1', 'Pod', 'pods');
export const secretType: ResourceType = type('v1', 'Secret', 'secrets');
/** Secrets in the form that is watched: only their existence and version. */
export const secretMetadataType: ResourceType = { ...secretType, isMetadataOnly: true };
/** On a dead connection, a renewal must fail early enough to leave time for another attempt. */
export const leaseType: ResourceType = { ...type('coordination.k8s.io/v1', 'Lease', 'leases'), answerMs: 4000 };
export const eventType: ResourceType = type('events.k8s.io/v1', 'Event', 'events');

/** The type of a rendered object. @throws for a kind that is not in the list, because it would never be pruned */
export function childTypeOf({ apiVersion: version, kind }: Pick<KubeObject, 'apiVersion' | 'kind'>): ResourceType {
  const found = childTypes.find((candidate) => candidate.apiVersion === version && candidate.kind === kind);
  if (found === undefined) throw new Error(`${version} ${kind} is not among the kinds of children`);
  return found;
}

/** The owner that controls an object. */
export function controllerOf({ metadata }: KubeObject): OwnerReference | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/** True for a kind that runs pods. */
export function isWorkload({ kind }: Pick<KubeObject, 'kind'>): boolean {
  return kind === 'Deployment' || kind === 'StatefulSet';
}

/** The conditions that an object has. */
export function conditionsIn({ status }: KubeObject): readonly Condition[] {
  return (status as { conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
}

/** The condition of this type. */
export function conditionIn(object: KubeObject, type: ConditionType): Condition | undefined {
  return conditionsIn(object).find((condition) => condition.type === type);
}
