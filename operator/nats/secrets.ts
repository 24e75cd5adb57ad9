/**
 * The secrets that a connection to NATS needs. Connections are tried every other second; the API server is asked again
 * when a secret has changed, or after half a minute where that cannot be noticed.
 */
import type { SecretKeyRef } from '../../crds/index.ts';
import type { Kube } from '../kube/client.ts';
import { isApiError, messageOf } from '../kube/errors.ts';
import { secretType } from '../kube/objects.ts';

export interface BusSecrets {
  /** The value of a key. @throws Error that says what to do about it */
  read(ref: SecretKeyRef): Promise<string>;
  /** Why the last reading failed; undefined when it did not. */
  readonly problem: { readonly message: string; readonly isForbidden: boolean } | undefined;
  /** A secret may have changed: the next reading asks the API server. */
  expire(): void;
}

interface Answer {
  readonly atMs: number;
  readonly value: string | Error;
}

const rereadMs = 30_000;

export function createBusSecrets(kube: Pick<Kube, 'get'>, namespace: string): BusSecrets {
  const answers = new Map<string, Answer>();
  return {
    read: async (ref) => {
      const key = `${ref.name}/${ref.key}`;
      const known = answers.get(key);
      const isFresh = known !== undefined && performance.now() - known.atMs < rereadMs;
      const value = isFresh ? known.value : await ask(kube, namespace, ref).catch(asError);
      if (!isFresh) answers.set(key, { atMs: performance.now(), value });
      if (value instanceof Error) throw value;
      return value;
    },
    get problem() {
      const failed = [...answers.values()].find(({ value }) => value instanceof Error);
      if (!(failed?.value instanceof Error)) return undefined;
      return { message: failed.value.message, isForbidden: isApiError(failed.value.cause, 'forbidden') };
    },
    expire: () => answers.clear(),
  };
}

async function ask(kube: Pick<Kube, 'get'>, namespace: string, { name, key }: SecretKeyRef): Promise<string> {
  let secret: Awaited<ReturnType<Kube['get']>>;
  try {
    secret = await kube.get(secretType, namespace, name);
  } catch (cause) {
    if (!isApiError(cause, 'forbidden')) throw cause;
    const advice = `grant its service account get on this one secret (a Role with resourceNames) to have the bus checked`;
    throw new Error(`the operator may not read Secret/${name}; ${advice}`, { cause });
  }
  if (secret === undefined)
    throw new Error(`there is no Secret/${name} in this namespace; create it with the key ${key}`);
  const value = (secret.data as Record<string, string> | undefined)?.[key];
  if (value === undefined) throw new Error(`Secret/${name} has no key ${key}; add it or correct the reference`);
  return Buffer.from(value, 'base64').toString('utf8');
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(messageOf(cause));
}
