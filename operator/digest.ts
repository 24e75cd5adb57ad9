/** What stands for a value where only its changes matter. */
import { hash } from 'node:crypto';

/** A short digest of any JSON. */
export function digest(value: unknown): string {
  // In one call: a hash object that is filled bit by bit lives outside of the heap until it is collected.
  return hash('sha256', JSON.stringify(value) ?? '', 'base64url').slice(0, 22);
}
