/** Digests that restart pods when the text that they represent changes. */
import { createHash } from 'node:crypto';

/** 16 hexadecimal digits of the SHA-256 of a text. */
export function restartDigestOf(text: string): string {
  // Not crypto.hash: a cdk8s app may run on Node 20.0.
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
