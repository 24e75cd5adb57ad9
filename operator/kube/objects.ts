/** The kinds of objects that the operator watches and writes, and where the API server keeps them. */
import type { ConditionType } from '../../crds/conditions.ts';
import { apiVersion } from '../../crds/contract.ts';
import type { Condition, Kind } from '../../crds/index.ts';

/** Field manager of everything that the operator applies. */
export const fieldManager = 'hydrogen-operator';

/** Field manager that keeps the number of pods while it is handed over to an autoscaler. */
export const handOverManager = 'hydrogen-operator-replicas';

/** Annotation of every child: the digest of what was applied, so that an operator that starts sees that nothing differs. */
export const appliedDigest = 'hydrogen.dev/applied-digest';

/**
 * Annotation of every workload: a digest of the generations of the documents that it was made from. Where those are the same
 * and what is to be applied is not, it is a release of the operator that makes something else of them.
 */
export const appliedSources = 'hydrogen.dev/applied-sources';

/** An object as the API server returns it; its fields are read one by one, where they are needed. */
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

/** Whose child an object is. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** Who set which fields. */
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
  /** Whether lists and watches ask for `metadata` alone. */
  readonly isMetadataOnly?: boolean;
  /** Silence after which a call has failed. @default - that of any call */
  readonly answerMs?: number;
}

const type = (version: string, kind: string, plural: string): ResourceType => ({ apiVersion: version, kind, plural });

/** The custom resources. */
export const customTypes: Readonly<Record<Kind, ResourceType>> = {
  HydrogenGroup: type(apiVersion, 'HydrogenGroup', 'hydrogengroups'),
  HydrogenGateway: type(apiVersion, 'HydrogenGateway', 'hydrogengateways'),
  HydrogenMessageProcessor: type(apiVersion, 'HydrogenMessageProcessor', 'hydrogenmessageprocessors'),
};

/** Every kind that the constructs of infra/ emit. A kind that is no longer emitted stays, so that it is pruned. */
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

/** Kinds whose definition comes with other software, and may be absent. */
export const optionalKinds: readonly string[] = ['HTTPRoute'];

/** Kinds of which objects that are not ours matter, too: somebody else's autoscaler sets a number of pods. */
export const sharedKinds: readonly string[] = ['HorizontalPodAutoscaler'];

export const namespaceType: ResourceType = type('v1', 'Namespace', 'namespaces');
export const secretType: ResourceType = type('v1', 'Secret', 'secrets');
/** Secrets as they are watched: that they exist, and in which version. */
export const secretMetadataType: ResourceType = { ...secretType, isMetadataOnly: true };
/** On a connection that has died unnoticed, a renewal must fail early enough for another one. */
export const leaseType: ResourceType = { ...type('coordination.k8s.io/v1', 'Lease', 'leases'), answerMs: 4000 };
export const eventType: ResourceType = type('events.k8s.io/v1', 'Event', 'events');

/** The type of a rendered object. @throws for a kind that is not in the list, which would never be pruned */
export function childTypeOf({ apiVersion: version, kind }: Pick<KubeObject, 'apiVersion' | 'kind'>): ResourceType {
  const found = childTypes.find((candidate) => candidate.apiVersion === version && candidate.kind === kind);
  if (found === undefined) throw new Error(`${version} ${kind} is not among the kinds that the operator looks after`);
  return found;
}

/** The owner that controls an object. */
export function controllerOf({ metadata }: KubeObject): OwnerReference | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/** Whether it is what runs pods. */
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
