import assert from 'node:assert/strict';
import test from 'node:test';
import { findToken, withoutTokens } from '../../../runtime/jwt/places.ts';

const carrier = {
  headers: [
    ['Host', 'a.test'],
    ['AUTHORIZATION', 'bearer t-header'],
    ['Cookie', 'theme=dark; id="t-cookie"; ids=kept'],
    ['Sec-WebSocket-Protocol', 'chat.v1, token.t-subprotocol'],
    ['X-Original-URI', '/chat?access_token=t-query'],
  ],
  query: [
    ['access_token', 't-query'],
    ['room', '1'],
    ['copy', 'xt-queryx'],
  ],
  tokenSubprotocols: ['token.t-subprotocol'],
} as const;

const header = { headers: [{ name: 'Authorization', valuePrefix: 'Bearer ' }] };
const params = { params: ['access_token'] };
const cookies = { cookies: ['id'] };
const subprotocols = { subprotocols: [{ prefix: 'token.' }] };

test('finds the token in each place, and the first of several in their order', () => {
  assert.equal(findToken(carrier, header), 't-header');
  assert.equal(findToken(carrier, params), 't-query');
  assert.equal(findToken(carrier, cookies), 't-cookie');
  assert.equal(findToken(carrier, subprotocols), 't-subprotocol');
  assert.equal(findToken(carrier, { ...subprotocols, ...cookies, ...params }), 't-query');
});

test('takes no token from a header with another scheme, an empty parameter or a cookie with a longer name', () => {
  const bare = {
    headers: [
      ['Authorization', 'Basic dTpw'],
      ['Cookie', 'idx=1'],
    ],
    query: [['access_token', '']],
  } as const;
  const nothing = { ...bare, tokenSubprotocols: ['token.'] };
  assert.equal(findToken(nothing, { ...header, ...params, ...cookies, ...subprotocols }), undefined);
});

test('takes every place of a token out of the request, also those that were not used, and copies of the token', () => {
  const seen = withoutTokens(
    carrier,
    [
      { ...header, ...cookies },
      { ...params, ...subprotocols },
    ],
    't-query',
  );
  assert.deepEqual(seen.headers, [
    ['Host', 'a.test'],
    ['Cookie', 'theme=dark; ids=kept'],
    ['Sec-WebSocket-Protocol', 'chat.v1'],
  ]);
  assert.deepEqual(seen.query, [['room', '1']]);
});

test('a cookie header with nothing but the token goes as a whole', () => {
  const only = { headers: [['cookie', 'id=t']], query: [], tokenSubprotocols: [] } as const;
  assert.deepEqual(withoutTokens(only, [cookies], 't').headers, []);
});
