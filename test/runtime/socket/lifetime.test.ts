import assert from 'node:assert/strict';
import test from 'node:test';
import { endOf } from '../../../runtime/socket/lifetime.ts';

const policy = (graceSeconds: number, maxConnectionAgeSeconds: number) => ({
  expiry: { graceSeconds },
  limits: { maxConnectionAgeSeconds },
});

test('a connection without an expiry and a greatest age never ends by itself', () => {
  assert.equal(endOf(undefined, policy(10, 0), 1_000).endsAtMs, Number.POSITIVE_INFINITY);
});

test('an authorization ends after the grace period', () => {
  assert.deepEqual(endOf(5_000, policy(10, 0), 1_000), { endsAtMs: 16_000, endsWith: 'HYD_CONNECTION_EXPIRED' });
});

test('a far expiry is kept as it is: no timer has to carry it', () => {
  const centuryMs = 100 * 365 * 86_400_000;
  assert.equal(endOf(centuryMs, policy(0, 0), 0).endsAtMs, centuryMs);
});

test('greatest ages differ by a tenth, and are never exceeded', () => {
  const ends = Array.from({ length: 2_000 }, () => endOf(undefined, policy(0, 100), 0));
  const ages = ends.map(({ endsAtMs }) => endsAtMs);
  assert.ok(Math.min(...ages) >= 90_000 && Math.max(...ages) <= 100_000);
  assert.ok(Math.max(...ages) - Math.min(...ages) > 8_000);
  assert.ok(ends.every(({ endsWith }) => endsWith === 'HYD_CONNECTION_TOO_OLD'));
});

test('of expiry and age, the earlier one counts', () => {
  assert.equal(endOf(1_000, policy(0, 100), 0).endsWith, 'HYD_CONNECTION_EXPIRED');
  assert.equal(endOf(1_000_000, policy(0, 100), 0).endsWith, 'HYD_CONNECTION_TOO_OLD');
});
