/** Digests that represent values of which only changes matter. */
import { hash } from 'node:crypto';

/** A short digest of any JSON. */
export function digest(value: unknown): string {
  // In one call: a hash object that is updated piece by piece takes memory outside the heap until it is collected.
  return hash('sha256', JSON.stringify(value) ?? '', 'base64url').slice(0, 22);
}
