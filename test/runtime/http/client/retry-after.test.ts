import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxRetryAfterMs, parseRetryAfter } from '../../../../runtime/http/client/retry-after.ts';

const nowMs = Date.parse('1994-11-06T08:49:07Z');

const cases: readonly (readonly [value: string | undefined, ms: number | undefined])[] = [
  [undefined, undefined],
  ['', undefined],
  ['0', 0],
  ['30', 30_000],
  [' 30 ', 30_000],
  ['99999999999999999999', maxRetryAfterMs],
  ['-1', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['1e3', undefined],
  ['Sun, 06 Nov 1994 08:49:37 GMT', 30_000],
  ['Sunday, 06-Nov-94 08:49:37 GMT', 30_000],
  ['Sun Nov  6 08:49:37 1994', 30_000],
  ['Sun, 06 Nov 1994 08:48:37 GMT', 0],
  ['Wed, 06 Nov 2194 08:49:37 GMT', maxRetryAfterMs],
  ['Sun, 99 Foo 1994 08:49:37 GMT', undefined],
  ['1994-11-06T08:49:37Z', undefined],
];

for (const [value, ms] of cases) {
  test(`reads Retry-After ${JSON.stringify(value)} as ${ms} ms`, () => {
    assert.equal(parseRetryAfter(value, nowMs), ms);
  });
}
