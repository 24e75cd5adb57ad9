import assert from 'node:assert/strict';
import test from 'node:test';
import { claimValue, selectClaims } from '../../../runtime/jwt/claims.ts';

const claims = `{"sub":"alice","n":12345678901234567890.10,"https://a.test/roles":["x"],"cognito:groups":["g"],
  "realm_access": {"roles": ["admin", "user"], "a/b": 1, "m~n": 2}, "list": [{"id": "deep"}], "__proto__": {"x": 1}}`;

test('a claim is a literal name, or a JSON Pointer through objects', () => {
  for (const [name, source] of [
    ['sub', '"alice"'],
    ['n', '12345678901234567890.10'],
    ['https://a.test/roles', '["x"]'],
    ['cognito:groups', '["g"]'],
    ['/realm_access/roles', '["admin", "user"]'],
    ['/realm_access/a~1b', '1'],
    ['/realm_access/m~0n', '2'],
    ['/__proto__/x', '1'],
    ['realm_access.roles', undefined],
    ['/sub/x', undefined],
    ['/list/0', undefined],
    ['/list/0/id', undefined],
    ['/', undefined],
    ['constructor', undefined],
    ['toString', undefined],
  ] as const) {
    assert.deepEqual(claimValue(JSON.parse(claims), name), source === undefined ? undefined : JSON.parse(source), name);
    assert.equal(selectClaims(claims, [name]) === '{}', source === undefined, name);
  }
});

test('chosen claims keep their place and every byte', () => {
  const names = ['n', '/realm_access/roles', 'absent', '/realm_access/a~1b', '/absent/x'];
  assert.equal(
    selectClaims(claims, names),
    '{"n":12345678901234567890.10,"realm_access":{"roles":["admin", "user"],"a/b":1}}',
  );
  assert.equal(selectClaims(claims, []), '{}');
});

test('a claim inside one that is chosen as a whole changes nothing, whatever the order', () => {
  const whole = JSON.parse(claims).realm_access;
  for (const names of [
    ['realm_access', '/realm_access/roles'],
    ['/realm_access/roles', 'realm_access'],
  ]) {
    assert.deepEqual(JSON.parse(selectClaims(claims, names)), { realm_access: whole });
  }
});
