/**
 * Wanted children: the rendered objects with their owner, and with digests of the applied content and of its
 * sources.
 */
import type { Manifest } from '../../infra/index.ts';
import { digest } from '../digest.ts';
import { appliedDigest, appliedSources, type KubeObject } from '../kube/objects.ts';

/** A rendered object with its owner, and with a digest of both that leaves out the sources. */
export function wantedChild({ apiVersion, kind, metadata }: KubeObject, manifest: Manifest): KubeObject {
  const rendered = objectOf(manifest);
  const { name, uid = '' } = metadata;
  const owner = { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
  const child = { ...rendered, metadata: { ...rendered.metadata, ownerReferences: [owner] } };
  const { [appliedSources]: _, ...digested } = rendered.metadata.annotations ?? {};
  const applied = digest({ ...child, metadata: { ...child.metadata, annotations: digested } });
  const annotations = { ...rendered.metadata.annotations, [appliedDigest]: applied };
  return { ...child, metadata: { ...child.metadata, annotations } };
}

/** The same workload without the digest of its sources, so that the next reconciliation applies everything again. */
export function withoutSources(object: KubeObject): KubeObject {
  const { [appliedSources]: _, ...annotations } = object.metadata.annotations ?? {};
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/**
 * The same object as an update of `live`: with the uid of `live`, a deleted object is not created again and a foreign
 * one is not taken over.
 */
export function asUpdate(wanted: KubeObject, live: KubeObject): KubeObject {
  return { ...wanted, metadata: { ...wanted.metadata, ...uidOf(live) } };
}

/** The number of pods from `live` and nothing else. */
export function replicasAlone(live: KubeObject, wanted: KubeObject): KubeObject {
  const { apiVersion, kind } = wanted;
  const { namespace, name } = wanted.metadata;
  const metadata = { name, ...(namespace !== undefined && { namespace }), ...uidOf(live) };
  return { apiVersion, kind, metadata, spec: { replicas: replicasOf(live) ?? 1 } };
}

/** The number of pods that an object asks for. */
export function replicasOf({ spec }: KubeObject): number | undefined {
  return (spec as { replicas?: number } | undefined)?.replicas;
}

/** `Service/chat-gateway`. */
export function shortName({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.name}`;
}

/** A rendered object. */
export function objectOf(manifest: Manifest): KubeObject {
  return manifest as unknown as KubeObject; // infra/ renders complete objects
}

function uidOf({ metadata }: KubeObject): { uid?: string } {
  return metadata.uid === undefined ? {} : { uid: metadata.uid };
}
