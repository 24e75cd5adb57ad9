/** A token for every client of a benchmark, and the provider that verifies it. */

import { generateKeyPairSync, sign } from 'node:crypto';

export interface BenchToken {
  /** For `authorizer.jwt.providers`. */
  readonly provider: object;
  /** RS256, with the claims that issuers usually write: some 700 bytes. */
  readonly token: string;
}

const issuer = 'https://issuer.bench/';
const audience = 'chat';

export function createBenchToken(): BenchToken {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const exp = Math.floor(Date.now() / 1000) + 86_400;
  const roles = Array.from({ length: 8 }, (_, index) => `role-${index}`);
  const claims = { iss: issuer, aud: audience, sub: 'auth0|0123456789abcdef', exp, realm_access: { roles } };
  const text = [{ alg: 'RS256', typ: 'JWT', kid: 'bench' }, claims].map(encoded).join('.');
  const signature = sign('sha256', Buffer.from(text), privateKey).toString('base64url');
  const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'RS256', use: 'sig' }];
  const provider = {
    name: 'bench',
    issuer,
    audiences: [audience],
    localJWKS: { type: 'Inline', inline: JSON.stringify({ keys }) },
    extractFrom: { params: ['access_token'] },
    claims: { context: ['/realm_access/roles'] },
  };
  return { provider, token: `${text}.${signature}` };
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
