/** Finds the secret keys that a document refers to. */
import type { SecretKeyRef } from './types/shared.ts';

/**
 * Every reference in `value`, however deep: an object below a field named `secretKeyRef`, `secretRef` or
 * `...SecretRef`, or in a list named `secretRefs`. The fields
 * of the schema follow that convention, so a new one is found without a change here.
 */
export function secretRefsIn(value: unknown): SecretKeyRef[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => {
    if (/secretKeyRef$|[sS]ecretRef$/.test(name)) return [child as SecretKeyRef];
    return /[sS]ecretRefs$/.test(name) ? (child as SecretKeyRef[]) : secretRefsIn(child);
  });
}
