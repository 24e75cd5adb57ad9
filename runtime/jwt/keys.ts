/** The public keys of token issuers: given, or fetched and kept. The only door to jose is this folder. */

import type { CryptoKey, JWTVerifyGetKey } from 'jose';
import { HydrogenError } from '../errors.ts';

/** Finds the key that a token names. Rejects with an error of jose when there is none. */
export type FindKey = (...asked: Parameters<JWTVerifyGetKey>) => Promise<CryptoKey>;

/** Milliseconds between two fetches of one key set, however many tokens name keys that are not in it. */
const pauseMs = 10_000;
/** The same after a fetch that failed. */
const pauseAfterFailureMs = 2_000;

let jose: Promise<typeof import('jose')> | undefined;

/** Loaded at the first token: a gateway without tokens pays nothing for it. */
export function loadJose(): Promise<typeof import('jose')> {
  // Node looks for a module again at each import.
  jose ??= import('jose');
  return jose;
}

/** @param text a JSON Web Key Set (RFC 7517 section 5). @throws when it is none */
export async function readKeys(text: string): Promise<FindKey> {
  const { createLocalJWKSet } = await loadJose();
  return createLocalJWKSet(JSON.parse(text));
}

export function isKeyUnknown(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_JWKS_NO_MATCHING_KEY';
}

/**
 * Keys behind a URL. Fetched once for all who wait; again once they are older than `cacheSeconds`, or earlier for a
 * token with an unknown key. What was fetched stays in use while the issuer does not answer.
 */
export class RemoteKeys {
  readonly #fetch: () => Promise<string>;
  readonly #onFetched: (error: HydrogenError | undefined) => void;
  #find: FindKey | undefined;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  /** When a fetch may begin again. */
  #nextAtMs = Number.NEGATIVE_INFINITY;
  /** Why the last fetch failed. */
  #failure: HydrogenError | undefined;
  #fetching: Promise<void> | undefined;

  /**
   * @param fetch resolves with the key set within a time of its own. @throws {HydrogenError} HYD_AUTHORIZER_UNAVAILABLE
   * @param onFetched called after each fetch, with what went wrong
   */
  constructor(fetch: () => Promise<string>, onFetched: (error: HydrogenError | undefined) => void) {
    this.#fetch = fetch;
    this.#onFetched = onFetched;
  }

  /**
   * @throws {HydrogenError} as a rejection: HYD_AUTHORIZER_UNAVAILABLE when the key is not known and the issuer does not
   * answer; an error of jose when it answers and has no such key
   */
  async find(cacheSeconds: number, ...asked: Parameters<FindKey>): Promise<CryptoKey> {
    if (this.#find === undefined) await this.#refresh();
    else if (performance.now() - this.#fetchedAtMs > cacheSeconds * 1000) {
      const refreshed = this.#refresh();
      // While the issuer is away, nobody waits for it.
      if (this.#failure === undefined) await refreshed;
    }
    try {
      return await this.#known(...asked);
    } catch (error) {
      if (!isKeyUnknown(error)) throw error;
      await this.#refresh();
      if (this.#failure !== undefined) throw this.#failure;
      return await this.#known(...asked);
    }
  }

  #known(...asked: Parameters<FindKey>): Promise<CryptoKey> {
    if (this.#find === undefined) throw this.#failure ?? new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE');
    return this.#find(...asked);
  }

  /** Resolves at once when it is too early for another fetch; never rejects. */
  #refresh(): Promise<void> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (performance.now() < this.#nextAtMs) return Promise.resolve();
    this.#fetching = this.#fetchOnce();
    return this.#fetching;
  }

  async #fetchOnce(): Promise<void> {
    try {
      this.#find = await readKeys(await this.#fetch());
      this.#fetchedAtMs = performance.now();
      this.#failure = undefined;
    } catch (error) {
      this.#failure =
        error instanceof HydrogenError
          ? error
          : new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', 'the answer is no JSON Web Key Set', { cause: error });
    } finally {
      this.#nextAtMs = performance.now() + (this.#failure === undefined ? pauseMs : pauseAfterFailureMs);
      this.#fetching = undefined;
      this.#onFetched(this.#failure);
    }
  }
}
