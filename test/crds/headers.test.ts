import assert from 'node:assert/strict';
import test from 'node:test';

import { grammars } from '../../crds/grammar.ts';
import { isHeaderName, isHeaderValue, isReservedHeader } from '../../crds/headers.ts';

test('a header name is a token of RFC 9110', () => {
  for (const name of ['X-Tier', 'x', "!#$%&'*+.^_`|~-", 'a'.repeat(100)]) assert.ok(isHeaderName(name), name);
  for (const name of ['', 'X Tier', 'X-Tier:', 'X\n', 'é', 'a,b']) assert.ok(!isHeaderName(name), name);
});

test('a header value is Latin-1 without control characters, except tab', () => {
  for (const value of ['', 'gold', 'a\tb', 'café', '\u00ff']) assert.ok(isHeaderValue(value), value);
  for (const value of ['\n', 'a\rb', '\u0000', '\u001f', '\u007f', '€', '金', '😀'])
    assert.ok(!isHeaderValue(value), value);
});

test('every value that a document may contain can be sent', () => {
  const pattern = new RegExp(grammars.headerValue.pattern);
  for (let code = 0; code < 0x2000; code += 1) {
    const value = `a${String.fromCharCode(code)}b`;
    if (pattern.test(value)) assert.ok(isHeaderValue(value), JSON.stringify(value));
  }
});

test('headers of hydrogen, of the connection and of the body are reserved in any case', () => {
  for (const name of ['Hydrogen-Message-Id', 'HOST', 'content-length', 'Keep-Alive', 'traceparent'])
    assert.ok(isReservedHeader(name), name);
  for (const name of ['authorization', 'x-hydrogen', 'accept']) assert.ok(!isReservedHeader(name), name);
});
