/**
 * Which objects refer to which secrets, and whether those exist. Versions come from a watch of metadata; of the secrets
 * themselves only the names of keys are kept, read once for each version. Values are not kept.
 */
import type { SecretKeyRef } from '../../crds/index.ts';
import type { Kube } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import { secretType } from '../kube/objects.ts';
import type { Change } from './reflector.ts';

export interface SecretIndex {
  /** Takes over a change that a watch shows. Returns the keys of the objects that refer to the secret. */
  put(change: Change): readonly string[];
  /** Replaces the references of an object; an empty list when the object is gone. */
  refer(key: string, namespace: string, refs: readonly SecretKeyRef[]): void;
  /**
   * One sentence for each missing secret or key, with what to do. Empty when all exist, or when the operator may not
   * see them.
   * @throws {ApiError} when a secret cannot be read for another reason
   */
  missing(namespace: string, refs: readonly SecretKeyRef[]): Promise<readonly string[]>;
}

export interface SecretIndexOptions {
  readonly kube: Pick<Kube, 'get'>;
  /** Whether secrets can be watched: the operator may lack the right. */
  readonly isVisible: () => boolean;
  /** Called once when secrets can be watched but not read. */
  readonly onHidden: (error: unknown) => void;
}

interface Known {
  readonly version: string;
  /** Undefined: not read yet. `hidden`: there is no permission to read it. */
  keys: ReadonlySet<string> | 'hidden' | undefined;
}

export function createSecretIndex({ kube, isVisible, onHidden }: SecretIndexOptions): SecretIndex {
  let isHidden = false;
  const known = new Map<string, Known>();
  const named = new Map<string, readonly string[]>();
  const namers = new Map<string, Set<string>>();

  async function keysOf(namespace: string, name: string, secret: Known): Promise<Known['keys']> {
    if (secret.keys !== undefined) return secret.keys;
    try {
      const object = await kube.get(secretType, namespace, name);
      secret.keys = object && new Set(Object.keys((object.data as object | undefined) ?? {}));
    } catch (error) {
      // It can be listed but not read: it is enough that it exists.
      if (!isApiError(error, 'forbidden')) throw error;
      secret.keys = 'hidden';
      if (!isHidden) onHidden(error);
      isHidden = true;
    }
    return secret.keys;
  }

  return {
    put: ({ before, after }) => {
      const { name = '', namespace = '', resourceVersion = '' } = (after ?? before)?.metadata ?? {};
      const secret = `${namespace}/${name}`;
      // Most secrets in a cluster are not referred to by any document; only the version of those is kept.
      if (after === undefined) known.delete(secret);
      else if (known.get(secret)?.version !== resourceVersion)
        known.set(secret, { version: resourceVersion, keys: undefined });
      return [...(namers.get(secret) ?? [])];
    },
    refer: (key, namespace, refs) => {
      for (const secret of named.get(key) ?? []) {
        const those = namers.get(secret);
        those?.delete(key);
        if (those?.size === 0) namers.delete(secret);
      }
      const secrets = [...new Set(refs.map(({ name }) => `${namespace}/${name}`))];
      if (secrets.length === 0) named.delete(key);
      else named.set(key, secrets);
      for (const secret of secrets) namers.set(secret, (namers.get(secret) ?? new Set()).add(key));
    },
    missing: async (namespace, refs) => {
      if (!isVisible()) return [];
      const problems = new Set<string>();
      for (const { name, key } of refs) {
        const secret = known.get(`${namespace}/${name}`);
        if (secret === undefined) {
          problems.add(`there is no Secret/${name} in this namespace; create it with the key ${key}`);
          continue;
        }
        const keys = await keysOf(namespace, name, secret);
        if (typeof keys === 'object' && !keys.has(key)) {
          problems.add(`Secret/${name} has no key ${key}; add it or correct the reference`);
        }
      }
      return [...problems];
    },
  };
}
