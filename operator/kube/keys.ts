/** Keys name objects in the queue and in the store. Here are an object's own key and those of objects it refers to. */
import type { Kind } from '../../crds/index.ts';
import { controllerOf, customTypes, type KubeObject } from './objects.ts';

/** `Deployment/shop/chat-gateway`. */
export function keyOf({ kind, metadata }: Pick<KubeObject, 'kind' | 'metadata'>): string {
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}

/** The key of a group. */
export function groupKey(namespace: string, name: string): string {
  return `HydrogenGroup/${namespace}/${name}`;
}

/** The key of the custom resource that controls an object; undefined if there is none. */
export function ownerKeyOf(object: KubeObject): string | undefined {
  const owner = controllerOf(object);
  if (owner === undefined || !(owner.kind in customTypes)) return undefined;
  if (owner.apiVersion !== customTypes[owner.kind as Kind].apiVersion) return undefined;
  return `${owner.kind}/${object.metadata.namespace ?? ''}/${owner.name}`;
}

/** The name of the group that a gateway or message processor refers to, whether or not the rest of it is valid. */
export function groupNameOf({ kind, spec }: KubeObject): string | undefined {
  if (kind === 'HydrogenGroup') return undefined;
  const name = (spec as { groupRef?: { name?: unknown } } | undefined)?.groupRef?.name;
  return typeof name === 'string' ? name : undefined;
}

/** The key of the deployment whose number of pods an autoscaler sets; undefined for any other object. */
export function targetKeyOf({ kind, metadata, spec }: KubeObject): string | undefined {
  if (kind !== 'HorizontalPodAutoscaler') return undefined;
  const { scaleTargetRef } = spec as { scaleTargetRef?: { kind?: string; name?: string } };
  if (scaleTargetRef?.kind !== 'Deployment') return undefined;
  return `Deployment/${metadata.namespace ?? ''}/${scaleTargetRef.name ?? ''}`;
}
