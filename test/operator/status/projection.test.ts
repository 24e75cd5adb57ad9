import assert from 'node:assert/strict';
import test from 'node:test';
import { digest } from '../../../operator/digest.ts';
import { project } from '../../../operator/status/projection.ts';

test('fields that the server adds to an object are left out of its projection', () => {
  const desired = { spec: { ports: [{ name: 'client', port: 80 }], selector: { app: 'chat' } } };
  const live = {
    spec: { clusterIP: '10.0.0.1', ports: [{ name: 'client', port: 80, nodePort: 31000 }], selector: { app: 'chat' } },
  };
  assert.equal(digest(project(desired, live)), digest(desired));
});

test('an item that others insert before ours does not count as drift', () => {
  const desired = { env: [{ name: 'A', value: '1' }] };
  const live = {
    env: [
      { name: 'SIDECAR', value: 'x' },
      { name: 'A', value: '1' },
    ],
  };
  assert.equal(digest(project(desired, live)), digest(desired));
});

test('a changed or removed field of ours counts as drift', () => {
  const desired = { env: [{ name: 'A', value: '1' }], image: 'one' };
  assert.notEqual(digest(project(desired, { env: [{ name: 'A', value: '2' }], image: 'one' })), digest(desired));
  assert.notEqual(digest(project(desired, { env: [], image: 'one' })), digest(desired));
  assert.notEqual(digest(project(desired, { env: [{ name: 'A', value: '1' }] })), digest(desired));
});

test('a list of plain values is compared as a whole', () => {
  assert.notEqual(digest(project(['a'], ['a', 'b'])), digest(['a']));
  assert.equal(digest(project(['a', 'b'], ['a', 'b'])), digest(['a', 'b']));
});
