import assert from 'node:assert/strict';
import test from 'node:test';
import { nameProblem } from '../../runtime/names.ts';

test('a name has 1 to 128 bytes of UTF-8', () => {
  for (const name of [
    'a',
    'x'.repeat(128),
    'ü'.repeat(64),
    '🙂'.repeat(32),
    '*',
    '>',
    'a.b',
    '...',
    ' ',
    'auth0|1',
    '/',
  ]) {
    assert.equal(nameProblem(name), undefined, name);
  }
  for (const name of ['', 'x'.repeat(129), 'ü'.repeat(65), '\ud83d', 7, null, {}, ['a'], true]) {
    assert.notEqual(nameProblem(name), undefined, String(name));
  }
});

test('. and .. and control characters are no names', () => {
  for (const name of ['.', '..', 'a\nb', '\0', 'a\u007f', '\u0085']) {
    assert.notEqual(nameProblem(name), undefined, JSON.stringify(name));
  }
});
