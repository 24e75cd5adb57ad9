/** A token issuer: keys of every kind, tokens signed with them, and a real HTTP server that publishes the public ones. */

import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { startDestination, type TestDestination } from './destination.ts';

export type Algorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA';

export interface SignOptions {
  readonly alg?: Algorithm;
  /** Default: the id of the key of `alg`. */
  readonly kid?: string;
  readonly header?: Partial<JWTHeaderParameters>;
}

export interface TestIssuer extends AsyncDisposable {
  readonly issuer: string;
  readonly server: TestDestination;
  /** The public keys now. */
  keySet(): { keys: JWK[] };
  /** A provider of `authorizer.jwt` that trusts it; `fields` are merged over it. */
  provider(fields?: object): object;
  /** Signs claims, merged over issuer, audience, a subject and an expiry in an hour. */
  sign(claims?: Readonly<Record<string, unknown>>, options?: SignOptions): Promise<string>;
  /** Replaces its keys with others. */
  rotate(): Promise<void>;
}

interface Key {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export const issuerUrl = 'https://issuer.test/';
export const audience = 'wss://chat.test';
const algorithms: readonly Algorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA'];

export async function startIssuer(): Promise<TestIssuer> {
  let generation = 0;
  let keys = await createKeys(generation);
  const keySet = () => ({ keys: [...keys.values()].map(({ jwk }) => jwk) });
  const server = await startDestination(() => ({ body: JSON.stringify(keySet()) }));
  return {
    issuer: issuerUrl,
    server,
    keySet,
    provider: (fields = {}) => ({
      name: 'main',
      issuer: issuerUrl,
      audiences: [audience],
      remoteJWKS: { uri: `${server.url}jwks` },
      ...fields,
    }),
    async sign(claims = {}, { alg = 'RS256', kid, header = {} } = {}) {
      const key = keys.get(alg) as Key;
      const nowSeconds = Math.floor(Date.now() / 1000);
      const all = { iss: issuerUrl, aud: audience, sub: 'alice', iat: nowSeconds, exp: nowSeconds + 3600, ...claims };
      const headers = { alg, kid: kid ?? key.kid, typ: 'JWT', ...header };
      return await new SignJWT(withoutUndefined(all)).setProtectedHeader(headers).sign(key.privateKey, {
        crit: { 'urn:x': true },
      });
    },
    async rotate() {
      generation += 1;
      keys = await createKeys(generation);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function createKeys(generation: number): Promise<Map<Algorithm, Key>> {
  const entries = algorithms.map(async (alg) => {
    const kid = `${alg}-${generation}`;
    const { publicKey, privateKey } = await generateKeyPair(alg);
    return [alg, { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }] as const;
  });
  return new Map(await Promise.all(entries));
}

function withoutUndefined(claims: Readonly<Record<string, unknown>>): JWTPayload {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}
