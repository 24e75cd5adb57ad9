/**
 * Signs requests to services as Standard Webhooks 1.0 says (https://www.standardwebhooks.com): a service that checks the
 * signature knows that a request is from this group, unchanged and recent. What is signed is the id, the time and the body;
 * other headers are not.
 */

import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { HydrogenGroup, SecretKeyRef } from '../../../crds/index.ts';
import { HydrogenError } from '../../errors.ts';

/** Undefined when the group has no keys. @param read the value of a secret */
export function signerOf({ spec }: HydrogenGroup, read: (ref: SecretKeyRef) => string): Signer | undefined {
  const refs = spec.signing?.secretRefs;
  return refs === undefined ? undefined : new Signer(refs.map((ref) => () => read(ref)));
}

/** The value of a secret. @throws {HydrogenError} HYD_SECRET_MISSING */
export type ReadKey = () => string;

const prefix = 'whsec_';
/** Bytes of a key: what the specification asks for. */
const keyBytes = { min: 24, max: 64 } as const;

export class Signer {
  readonly #readers: readonly ReadKey[];
  readonly #parsed = new Map<string, KeyObject>();

  /** @param readers one for each key; with several, a service may know any of them, so that they can be replaced in turn */
  constructor(readers: readonly ReadKey[]) {
    this.#readers = readers;
  }

  /**
   * The headers of one request: `webhook-id`, `webhook-timestamp` and `webhook-signature`, flat.
   * @param id the same for each attempt of what is sent; without dots
   * @throws {HydrogenError} HYD_SECRET_MISSING when no key can be read, or one that can is no key
   */
  headers(id: string, body: Uint8Array | string, nowMs = Date.now()): string[] {
    const timestamp = String(Math.floor(nowMs / 1000));
    const signatures = this.#keys().map((key) => {
      const signed = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
      return `v1,${signed.digest('base64')}`;
    });
    return ['webhook-id', id, 'webhook-timestamp', timestamp, 'webhook-signature', signatures.join(' ')];
  }

  #keys(): KeyObject[] {
    const keys: KeyObject[] = [];
    let missing: unknown;
    for (const read of this.#readers) {
      let text: string;
      try {
        text = read();
      } catch (error) {
        // While keys are replaced, one of them may not be there yet.
        missing = error;
        continue;
      }
      keys.push(this.#keyOf(text));
    }
    if (keys.length === 0) throw missing;
    return keys;
  }

  #keyOf(text: string): KeyObject {
    const known = this.#parsed.get(text);
    if (known !== undefined) return known;
    const encoded = text.startsWith(prefix) ? text.slice(prefix.length) : '';
    const bytes = Buffer.from(encoded, 'base64');
    const isBase64 = bytes.toString('base64').replace(/=+$/, '') === encoded.replace(/=+$/, '');
    if (!isBase64 || bytes.length < keyBytes.min || bytes.length > keyBytes.max) {
      const wanted = `${prefix} and the base64 of ${keyBytes.min} to ${keyBytes.max} bytes`;
      throw new HydrogenError('HYD_SECRET_MISSING', `a key of spec.signing of the group is not ${wanted}`);
    }
    const key = createSecretKey(bytes);
    if (this.#parsed.size >= 2 * this.#readers.length) this.#parsed.clear();
    this.#parsed.set(text, key);
    return key;
  }
}
