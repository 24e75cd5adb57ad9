/**
 * The secrets that a connection to NATS needs. Connections are attempted about every two seconds; a secret is read again
 * only when it has changed, or after half a minute because changes may go unnoticed.
 */
import type { SecretKeyRef } from '../../crds/index.ts';
import type { Kube } from '../kube/client.ts';
import { isApiError, messageOf } from '../kube/errors.ts';
import { secretType } from '../kube/objects.ts';

interface Answer {
  readonly atMs: number;
  readonly value: string | Error;
}

const rereadMs = 30_000;

/** The secrets of one group. */
export class LoginSecrets {
  readonly #kube: Pick<Kube, 'get'>;
  readonly #namespace: string;
  readonly #answers = new Map<string, Answer>();

  constructor(kube: Pick<Kube, 'get'>, namespace: string) {
    this.#kube = kube;
    this.#namespace = namespace;
  }

  /** Why a secret could not be read last time; undefined if all could. */
  get problem(): { readonly message: string; readonly isForbidden: boolean } | undefined {
    for (const { value } of this.#answers.values()) {
      if (value instanceof Error) return { message: value.message, isForbidden: isApiError(value.cause, 'forbidden') };
    }
    return undefined;
  }

  /** The value of a key. @throws {Error} with a message that says what to do */
  async read(ref: SecretKeyRef): Promise<string> {
    const key = `${ref.name}/${ref.key}`;
    const known = this.#answers.get(key);
    const isFresh = known !== undefined && performance.now() - known.atMs < rereadMs;
    const value = isFresh ? known.value : await this.#ask(ref).catch(asError);
    if (!isFresh) this.#answers.set(key, { atMs: performance.now(), value });
    if (value instanceof Error) throw value;
    return value;
  }

  /** Call it when a secret may have changed: the next `read` asks the API server. */
  expire(): void {
    this.#answers.clear();
  }

  async #ask({ name, key }: SecretKeyRef): Promise<string> {
    let secret: Awaited<ReturnType<Kube['get']>>;
    try {
      secret = await this.#kube.get(secretType, this.#namespace, name);
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
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(messageOf(cause));
}
