/** The digest by which pods and the operator name the text of a configuration: what is mounted, and what is in force. */
import { createHash } from 'node:crypto';

/** 22 characters of the SHA-256 of a text, in base64url. */
export function configDigestOf(text: string): string {
  // Not crypto.hash: a cdk8s app may run on Node 20.0.
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
