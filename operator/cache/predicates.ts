/**
 * Predicates: which changes to a custom resource are worth reconciling. Most changes are the operator's own status writes.
 */

import { adoptedBy, conditionIn, type KubeObject } from '../kube/objects.ts';

/** True if more than the status of an object has changed. */
export function isWorthReconciling(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  const of = ({ metadata }: KubeObject): string =>
    JSON.stringify([
      metadata.uid,
      metadata.generation,
      metadata.deletionTimestamp,
      metadata.finalizers,
      adoptedBy({ metadata }),
    ]);
  return of(before) !== of(after);
}

/** True if the endpoints of a gateway or message processor are as before. */
export function isSameEndpoints(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  const of = (object: KubeObject | undefined): string | undefined => {
    const { mode, endpoints } = (object?.spec ?? {}) as { readonly mode?: unknown; readonly endpoints?: unknown };
    return object && JSON.stringify([mode, endpoints, object.metadata.deletionTimestamp]);
  };
  return of(before) === of(after);
}

/** True if the members of a group would report its state as before. */
export function isSameReady(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  const of = (object: KubeObject | undefined): string => {
    const { status, message, observedGeneration } = (object && conditionIn(object, 'Ready')) ?? {};
    return JSON.stringify([status, message, observedGeneration]);
  };
  return of(before) === of(after);
}
