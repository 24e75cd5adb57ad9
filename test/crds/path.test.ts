import assert from 'node:assert/strict';
import test from 'node:test';

import { child, isWithin, join, placesOf, segments, valueAt } from '../../crds/path.ts';

test('splits the paths that it builds', () => {
  for (const names of [
    ['spec', 'a'],
    ['spec', 'a.b/c'],
    ['a "quoted" \\ name', 'b'],
    ['', 'x'],
  ]) {
    assert.deepEqual(segments(names.reduce(child, '')), names);
  }
});

test('joins a relative path that begins with a list entry', () => {
  assert.equal(join('spec.a', '[0].b'), 'spec.a[0].b');
  assert.equal(join('spec', 'a.b'), 'spec.a.b');
  assert.equal(join('', 'a'), 'a');
  assert.equal(join('a', ''), 'a');
});

test('compares paths by segments, not by characters', () => {
  assert.equal(isWithin('spec.hooks.connect', 'spec.hooks'), true);
  assert.equal(isWithin('spec.hooks', 'spec.hooks'), true);
  assert.equal(isWithin('spec.hooksaw', 'spec.hooks'), false);
  assert.equal(isWithin('spec.hooks', 'spec.hooks.connect'), false);
});

test('finds every place that a pattern names', () => {
  const value = { a: [{ b: 1 }, {}, { b: 2 }, null] };
  assert.deepEqual(placesOf(value, 'a[*].b'), [
    { path: 'a[0].b', value: 1 },
    { path: 'a[2].b', value: 2 },
  ]);
  assert.deepEqual(placesOf({ a: 'text' }, 'a[*].b'), []);
});

test('finds nothing in prototypes', () => {
  assert.equal(valueAt({ a: {} }, 'a.toString'), undefined);
});
