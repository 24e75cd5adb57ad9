/**
 * Verifies the token of a client (RFC 7519): its signature by a key of the issuer, its audience and its times. Headers
 * that bring a key along (`jwk`, `jku`, `x5c`, `x5u`) count for nothing, and unknown `crit` headers are refused, both by
 * jose. An error says what is wrong with a token and never what is in it.
 */

import type { CryptoKey, JWTVerifyResult } from 'jose';
import type { JwtProvider } from '../../crds/index.ts';
import { HydrogenError } from '../errors.ts';
import { nameProblem } from '../names.ts';
import { claimValue, selectClaims } from './claims.ts';
import { type FindKey, loadJose } from './keys.ts';
import { findToken, type TokenCarrier } from './places.ts';

export interface VerifiedToken {
  readonly token: string;
  readonly user: string;
  /** Each once; undefined: no claim names any. */
  readonly channels: readonly string[] | undefined;
  /** JSON of the chosen claims. */
  readonly context: string;
  /** JSON of all claims, as the issuer wrote them. */
  readonly claims: string;
  /** Milliseconds from now on until it has expired, by the clock of the gateway and `clockSkewSeconds`. */
  readonly validMs: number;
}

/** Gives the keys of a provider. */
export type KeysOf = (provider: JwtProvider) => FindKey;

/** Keys without an id of their own that are tried for one token. */
const maxKeysTried = 8;
/** 9999-12-31: the last day that RFC 3339 can write. */
const lastSecond = 253_402_300_799;
const utf8 = new TextDecoder('utf-8', { fatal: true });

const reasons: Readonly<Record<string, string>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: 'the algorithm of the token is not among algorithms',
  ERR_JOSE_NOT_SUPPORTED: 'the token needs something that is not supported',
  ERR_JWKS_NO_MATCHING_KEY: 'the issuer has no such key',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature of the token is wrong',
  ERR_JWT_EXPIRED: 'the token has expired',
};

/**
 * Verifies the client's token with the first provider that accepts it.
 * @throws {HydrogenError} HYD_UNAUTHORIZED; HYD_AUTHORIZER_UNAVAILABLE when it could not be found out
 */
export async function verifyToken(
  carrier: TokenCarrier,
  providers: readonly JwtProvider[],
  keysOf: KeysOf,
): Promise<VerifiedToken> {
  let refusal: HydrogenError | undefined;
  for (const provider of providers) {
    const token = findToken(carrier, provider.extractFrom);
    if (token === undefined) continue;
    try {
      return await verifyWith(provider, token, keysOf(provider));
    } catch (cause) {
      if (!(cause instanceof HydrogenError)) throw cause;
      // What another provider could not find out is more than that this one refuses.
      if (refusal === undefined || refusal.code === 'HYD_UNAUTHORIZED') refusal = cause;
    }
  }
  throw refusal ?? new HydrogenError('HYD_UNAUTHORIZED', 'there is no token where extractFrom looks');
}

async function verifyWith(provider: JwtProvider, token: string, findKey: FindKey): Promise<VerifiedToken> {
  const { name } = provider;
  const { text, claims } = readClaims(provider, token);
  // Before any key is asked for: tokens of others cause no requests to this issuer.
  if (claims.iss !== provider.issuer) throw unauthorized(name, 'the token is of another issuer');
  const { payload } = await verifySignature(provider, token, findKey);
  const user = claimValue(claims, provider.claims.user);
  const problem = typeof user === 'string' ? nameProblem(user) : 'is missing or not a string';
  if (typeof user !== 'string' || problem !== undefined) throw unauthorized(name, `the claim for user ${problem}`);
  const expiresAtMs = (Math.min(payload.exp ?? 0, lastSecond) + provider.clockSkewSeconds) * 1000;
  return {
    token,
    user,
    channels: channelsIn(claims, provider),
    context: selectClaims(text, provider.claims.context),
    claims: text,
    validMs: Math.max(1, expiresAtMs - Date.now()),
  };
}

/** @throws {HydrogenError} HYD_UNAUTHORIZED */
function channelsIn(claims: Readonly<Record<string, unknown>>, provider: JwtProvider): string[] | undefined {
  const { name, claims: chosen } = provider;
  const value = chosen.channels === undefined ? undefined : claimValue(claims, chosen.channels);
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw unauthorized(name, 'the claim for channels is not a list');
  for (const channel of value) {
    const problem = nameProblem(channel);
    if (problem !== undefined) throw unauthorized(name, `a channel in the claim for channels ${problem}`);
  }
  return [...new Set(value as string[])];
}

async function verifySignature(provider: JwtProvider, token: string, findKey: FindKey): Promise<JWTVerifyResult> {
  const { jwtVerify } = await loadJose();
  const { issuer, audiences, algorithms, clockSkewSeconds } = provider;
  const options = {
    issuer,
    audience: [...audiences],
    algorithms: [...algorithms],
    clockTolerance: clockSkewSeconds,
    requiredClaims: ['exp'],
  };
  let keys: (FindKey | CryptoKey)[] = [findKey];
  for (;;) {
    const key = keys.shift();
    if (key === undefined) throw unauthorized(provider.name, 'no key of the issuer has signed the token');
    try {
      return await jwtVerify(token, key, options);
    } catch (error) {
      // Without the id of a key in the token, several keys may have signed it: jose hands them over with the error.
      if (hasCode(error, 'ERR_JWKS_MULTIPLE_MATCHING_KEYS')) keys = await firstKeys(error as AsyncIterable<CryptoKey>);
      else if (keys.length === 0 || !hasCode(error, 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED')) {
        throw asRefusal(provider, error);
      }
    }
  }
}

async function firstKeys(all: AsyncIterable<CryptoKey>): Promise<CryptoKey[]> {
  const keys: CryptoKey[] = [];
  for await (const key of all) if (keys.push(key) === maxKeysTried) break;
  return keys;
}

/** Its claims, not verified yet. @throws {HydrogenError} HYD_UNAUTHORIZED */
function readClaims(
  { name }: JwtProvider,
  token: string,
): { readonly text: string; readonly claims: Readonly<Record<string, unknown>> } {
  try {
    const text = utf8.decode(Buffer.from(token.split('.')[1] ?? '', 'base64url')).trim();
    const claims: unknown = JSON.parse(text);
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims))
      return { text, claims: claims as Record<string, unknown> };
  } catch (cause) {
    throw unauthorized(name, 'the token is not a JWT', cause);
  }
  throw unauthorized(name, 'the token is not a JWT');
}

function asRefusal({ name }: JwtProvider, cause: unknown): HydrogenError {
  if (cause instanceof HydrogenError) return cause;
  const { code = '', claim } = cause as { code?: string; claim?: string };
  // Without a code of jose, the system could not use the key.
  if (code === 'ERR_JWKS_INVALID' || !code.startsWith('ERR_J')) {
    return new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', `provider ${name}: a key of the issuer cannot be used`, {
      cause,
    });
  }
  const reason = code === 'ERR_JWT_CLAIM_VALIDATION_FAILED' ? `the claim ${claim} is missing or wrong` : reasons[code];
  return unauthorized(name, reason ?? 'the token is not a valid JWT', cause);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function unauthorized(provider: string, detail: string, cause?: unknown): HydrogenError {
  return new HydrogenError('HYD_UNAUTHORIZED', `provider ${provider}: ${detail}`, { cause });
}
