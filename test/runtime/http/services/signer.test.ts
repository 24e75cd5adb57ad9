/** Signatures of requests, verified by the library that the specification names. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { Webhook } from 'standardwebhooks';
import { Signer } from '../../../../runtime/http/services/signer.ts';

const makeKey = (bytes = 32): string => `whsec_${randomBytes(bytes).toString('base64')}`;

/** The headers as an object. */
function headersOf(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
}

const body = '{"message":"grüß dich","context":{"n":12345678901234567890}}';

test('a service that knows the key accepts a request, and nobody else does', () => {
  const [key, other] = [makeKey(), makeKey(24)];
  const headers = headersOf(new Signer([() => key]).headers('abc-1', body));
  assert.equal(headers['webhook-id'], 'abc-1');
  assert.deepEqual(new Webhook(key).verify(body, headers), JSON.parse(body));
  assert.throws(() => new Webhook(other).verify(body, headers), /signature/i);
  assert.throws(() => new Webhook(key).verify(body.replace('dich', 'mich'), headers), /signature/i);
  assert.throws(() => new Webhook(key).verify(body, { ...headers, 'webhook-id': 'abc-2' }), /signature/i);
  const old = headersOf(new Signer([() => key]).headers('abc-1', body, Date.now() - 600_000));
  assert.throws(() => new Webhook(key).verify(body, old), /old/i);
});

test('bytes are signed as their text is', () => {
  const key = makeKey();
  const headers = headersOf(new Signer([() => key]).headers('abc-1', Buffer.from(body)));
  assert.deepEqual(new Webhook(key).verify(body, headers), JSON.parse(body));
});

test('while keys are replaced, a service with either of them accepts, also while one cannot be read', () => {
  const [old, next] = [makeKey(), makeKey()];
  let isNextThere = false;
  const signer = new Signer([
    () => old,
    () => {
      if (!isNextThere) throw new Error('missing');
      return next;
    },
  ]);
  assert.ok(new Webhook(old).verify(body, headersOf(signer.headers('a', body))));
  isNextThere = true;
  const headers = headersOf(signer.headers('a', body));
  for (const key of [old, next]) assert.ok(new Webhook(key).verify(body, headers));
});

test('sends nothing unsigned: without a key that can be read, or with one that is none, it throws', () => {
  const missing = new Signer([
    () => {
      throw new Error('missing');
    },
  ]);
  assert.throws(() => missing.headers('a', body), /missing/);
  for (const key of [
    '',
    'secret',
    'whsec_',
    'whsec_short',
    makeKey(23),
    makeKey(65),
    `${makeKey()}!`,
    makeKey().slice(6),
  ]) {
    assert.throws(() => new Signer([() => key]).headers('a', body), { code: 'HYD_SECRET_MISSING' }, key);
  }
});

test('follows a key whose secret has changed', () => {
  let key = makeKey();
  const signer = new Signer([() => key]);
  for (let i = 0; i < 5; i++) {
    assert.ok(new Webhook(key).verify(body, headersOf(signer.headers('a', body))));
    key = makeKey();
  }
});
