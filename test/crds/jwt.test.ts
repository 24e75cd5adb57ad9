import assert from 'node:assert/strict';
import test from 'node:test';
import { parse } from '../../crds/index.ts';

/** What `parse` says about keys that are given in a document. */
function issuesOf(inline: string): string[] {
  const provider = { name: 'main', issuer: 'https://a/', audiences: ['b'], localJWKS: { type: 'Inline', inline } };
  const result = parse({
    apiVersion: 'hydrogen.dev/v1alpha1',
    kind: 'HydrogenGateway',
    metadata: { name: 'chat' },
    spec: {
      groupRef: { name: 'chat' },
      endpoints: [{ path: '/chat' }],
      authorizer: { jwt: { providers: [provider] } },
    },
  });
  return result.ok ? [] : result.issues.map(({ path, message }) => `${path}: ${message}`);
}

test('keys in a document are public keys in JSON, and what is wrong is said without repeating them', () => {
  const place = 'spec.authorizer.jwt.providers[0].localJWKS.inline';
  const sentence = `${place}: must be a JSON Web Key Set of public keys, {"keys": [...]}`;
  for (const [inline, reason] of [
    ['text', 'it is not JSON'],
    ['[]', 'it has no keys'],
    ['{"keys": {}}', 'it has no keys'],
    ['{"keys": [7]}', 'one has no kty'],
    ['{"keys": [{"kty": "oct", "k": "secret"}]}', 'one is private or symmetric, which must not be here'],
    ['{"keys": [{"kty": "OKP", "x": "AA", "d": "secret"}]}', 'one is private or symmetric, which must not be here'],
  ] as const) {
    assert.deepEqual(issuesOf(inline), [`${sentence}: ${reason}`]);
  }
  assert.deepEqual(issuesOf('{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}'), []);
});
