/** The tokens of a gateway's clients: verification bound to its configuration, its secrets, its metrics and its log. */

import type { JwtProvider } from '../../crds/index.ts';
import { HydrogenError } from '../errors.ts';
import type { HttpClient } from '../http/client/client.ts';
import { fetchKeySet } from '../http/services/key-set.ts';
import { type FindKey, RemoteKeys, readKeys } from '../jwt/keys.ts';
import { type VerifiedToken, verifyToken } from '../jwt/verifier.ts';
import type { RoleLog } from '../role/log.ts';
import type { GatewayMetrics } from '../role/metrics.ts';
import type { MountedSecrets } from '../role/secrets.ts';
import type { Handshake } from '../socket/handshake.ts';
import type { LiveGatewaySpec } from './identity.ts';

export interface GatewayTokensDeps {
  readonly spec: LiveGatewaySpec;
  readonly http: HttpClient;
  readonly secrets: MountedSecrets;
  readonly log: RoleLog;
  readonly metrics: GatewayMetrics;
}

export class GatewayTokens {
  readonly #deps: GatewayTokensDeps;
  /** By URL: a change of the configuration forgets no keys that are still used. */
  readonly #remote = new Map<string, RemoteKeys>();
  /** By provider. */
  readonly #local = new Map<string, { readonly text: string; readonly find: Promise<FindKey> }>();

  constructor(deps: GatewayTokensDeps) {
    this.#deps = deps;
    deps.spec.onChange(() => this.#forget());
  }

  /** @throws {HydrogenError} HYD_UNAUTHORIZED, HYD_AUTHORIZER_UNAVAILABLE */
  async verify(handshake: Handshake, providers: readonly JwtProvider[]): Promise<VerifiedToken> {
    const { tokens } = this.#deps.metrics;
    try {
      const verified = await verifyToken(handshake, providers, (provider) => this.#keysOf(provider));
      tokens.add('ok');
      return verified;
    } catch (error) {
      tokens.add(error instanceof HydrogenError && error.code === 'HYD_UNAUTHORIZED' ? 'refused' : 'unavailable');
      throw error;
    }
  }

  #keysOf(provider: JwtProvider): FindKey {
    const { remoteJWKS } = provider;
    if (remoteJWKS === undefined) return async (...asked) => (await this.#localKeys(provider))(...asked);
    const keys = this.#remote.get(remoteJWKS.uri) ?? this.#watch(provider.name, remoteJWKS.uri);
    return (...asked) => keys.find(remoteJWKS.cacheSeconds, ...asked);
  }

  #watch(provider: string, uri: string): RemoteKeys {
    const { http, log, metrics } = this.#deps;
    const keys = new RemoteKeys(
      () => fetchKeySet(http, uri),
      (error) => {
        metrics.keyFetches.add(error === undefined ? 'ok' : 'failed');
        if (error !== undefined) log.keysUnavailable({ provider, detail: error.message });
      },
    );
    this.#remote.set(uri, keys);
    return keys;
  }

  /** @throws {HydrogenError} as a rejection: HYD_AUTHORIZER_UNAVAILABLE */
  async #localKeys({ name, localJWKS }: JwtProvider): Promise<FindKey> {
    try {
      const ref = localJWKS?.valueRef?.secretKeyRef;
      const text = ref === undefined ? (localJWKS?.inline ?? '') : this.#deps.secrets.read(ref);
      const known = this.#local.get(name);
      if (known?.text === text) return await known.find;
      const find = readKeys(text);
      this.#local.set(name, { text, find });
      return await find;
    } catch (cause) {
      if (cause instanceof HydrogenError)
        throw new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', cause.message, { cause });
      throw new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', `localJWKS of provider ${name} is no JSON Web Key Set`, {
        cause,
      });
    }
  }

  #forget(): void {
    const providers = this.#deps.spec.current.authorizer?.jwt?.providers ?? [];
    const uris = new Set(providers.map(({ remoteJWKS }) => remoteJWKS?.uri));
    for (const uri of this.#remote.keys()) if (!uris.has(uri)) this.#remote.delete(uri);
    this.#local.clear();
  }
}
