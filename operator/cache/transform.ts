/**
 * Transforms cut watched objects down to the fields that are read. A thousand gateways have eight thousand children, and
 * of each the operator needs only the owner, what was applied, and the state of its pods.
 */
import { basename } from 'node:path/posix';
import { isDeepStrictEqual } from 'node:util';

import { configDigestOf } from '../../crds/config-digest.ts';
import { paths } from '../../crds/contract.ts';
import { createFieldsOf, isOurs, type OwnedFields } from '../kube/managed-fields.ts';
import {
  appliedDigest,
  appliedSources,
  childTypeOf,
  controllerOf,
  type KubeObject,
  type ManagedFields,
  type OwnerReference,
} from '../kube/objects.ts';

/** A child in the form that is kept in memory. */
export interface Child extends KubeObject {
  /** Digest of what was applied last, from the child's annotation. */
  readonly appliedDigest: string | undefined;
  /** For a workload: digest of the documents that it was made from. */
  readonly appliedSources: string | undefined;
  /** For the config map of a gateway or message processor: digest of the configuration that it holds. */
  readonly configDigest: string | undefined;
  /** The fields that we applied and still own. */
  readonly owned: OwnedFields;
  /** Whether `spec.replicas` would be removed if we stopped applying it. */
  readonly holdsReplicas: boolean;
}

export type ChildTransform = (object: KubeObject) => Child;

interface WorkloadSpec {
  readonly replicas?: number;
  readonly template?: { readonly spec?: { readonly containers?: readonly { name?: string; image?: string }[] } };
}

interface WorkloadStatus {
  readonly conditions?: readonly { type: string; status: string; reason?: string; message?: string }[];
  readonly [count: string]: unknown;
}

/** A custom resource without its managed fields, and without the copies of it that clients leave in annotations. */
export function transformCustom(object: KubeObject): KubeObject {
  const { managedFields: _, annotations, ...metadata } = object.metadata;
  const ours = Object.entries(annotations ?? {}).filter(([name]) => name.startsWith('hydrogen.dev/'));
  return { ...object, metadata: { ...metadata, ...(ours.length > 0 && { annotations: Object.fromEntries(ours) }) } };
}

/** The identity and version of a secret; nothing else is read. */
export function transformSecret({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, namespace, resourceVersion } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
  };
}

export function createChildTransform(): ChildTransform {
  const fieldsOf = createFieldsOf();
  const share = createShare();
  return (object) => {
    const { apiVersion, kind } = childTypeOf(object);
    const { name, namespace, uid, resourceVersion, generation, deletionTimestamp, annotations } = object.metadata;
    const owner = controllerOf(object);
    return {
      apiVersion,
      kind,
      metadata: {
        name,
        ...(namespace !== undefined && { namespace: share.text(namespace) }),
        ...(uid !== undefined && { uid }),
        ...(resourceVersion !== undefined && { resourceVersion }),
        ...(generation !== undefined && { generation }),
        ...(deletionTimestamp !== undefined && { deletionTimestamp }),
        ...(owner !== undefined && { ownerReferences: share.owners(owner) }),
      },
      ...workloadOf(object),
      appliedDigest: annotations?.[appliedDigest],
      appliedSources: annotations?.[appliedSources],
      configDigest: kind === 'ConfigMap' ? configDigestIn(object) : undefined,
      owned: fieldsOf(object),
      holdsReplicas: kind === 'Deployment' && holdsReplicas(object.metadata.managedFields ?? []),
    };
  };
}

/** The file that pods of ours read; other config maps, such as that of NATS, have none. */
const configFile = basename(paths.config);

function configDigestIn({ data }: KubeObject): string | undefined {
  const text = (data as Readonly<Record<string, unknown>> | undefined)?.[configFile];
  return typeof text === 'string' ? configDigestOf(text) : undefined;
}

/** Maximum number of shared texts and owners. */
const mostShared = 16_384;

/** Keeps a single copy of values that many children share, such as owners and namespaces. */
function createShare() {
  const texts = new Map<string, string>();
  const lists = new Map<string, readonly OwnerReference[]>();
  return {
    text: (text: string): string => shared(texts, text, text),
    owners: (owner: OwnerReference): readonly OwnerReference[] => {
      const found = lists.get(owner.uid);
      if (found === undefined) return shared(lists, owner.uid, [owner]);
      // A reference that somebody has edited is kept separately.
      return isDeepStrictEqual(found[0], owner) ? found : [owner];
    },
  };
}

function shared<T>(known: Map<string, T>, key: string, value: T): T {
  const found = known.get(key);
  if (found !== undefined) return found;
  if (known.size >= mostShared) known.clear();
  known.set(key, value);
  return value;
}

/**
 * The size of a workload, its images and its progress; the target of an autoscaler and its conditions; the addresses of a
 * load balancer.
 */
function workloadOf({ kind, spec, status }: KubeObject): { spec?: unknown; status?: WorkloadStatus } {
  if (kind === 'HorizontalPodAutoscaler') {
    const { kind: target, name } = (spec as { scaleTargetRef?: { kind?: string; name?: string } }).scaleTargetRef ?? {};
    const { conditions = [] } = (status ?? {}) as WorkloadStatus;
    const kept = conditions.map(({ type, status: value, message }) => ({
      type,
      status: value,
      message: message ?? '',
    }));
    return { spec: { scaleTargetRef: { kind: target, name } }, status: { conditions: kept } };
  }
  if (kind === 'Service') {
    const { loadBalancer } = (status ?? {}) as WorkloadStatus;
    return loadBalancer === undefined ? {} : { status: { loadBalancer } };
  }
  if (kind !== 'Deployment' && kind !== 'StatefulSet') return {};
  const { replicas, template } = (spec ?? {}) as WorkloadSpec;
  const { conditions = [], ...counts } = (status ?? {}) as WorkloadStatus;
  const containers = (template?.spec?.containers ?? []).map(({ name = '', image = '' }) => ({ name, image }));
  return {
    spec: { ...(replicas !== undefined && { replicas }), template: { spec: { containers } } },
    status: {
      ...counts,
      conditions: conditions.map(({ type, status: value, reason, message }) => ({
        type,
        status: value,
        ...(reason !== undefined && { reason }),
        // The only message that is shown.
        ...(type === 'ReplicaFailure' && message !== undefined && { message }),
      })),
    },
  };
}

function holdsReplicas(entries: readonly ManagedFields[]): boolean {
  const holders = entries.filter(({ subresource, fieldsV1 }) => {
    const ofSpec = (fieldsV1 as OwnedFields | undefined)?.['f:spec'];
    return subresource !== 'status' && ofSpec?.['f:replicas'] !== undefined;
  });
  return holders.length > 0 && holders.every(isOurs);
}
