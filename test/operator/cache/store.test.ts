import assert from 'node:assert/strict';
import test from 'node:test';
import { createStore } from '../../../operator/cache/store.ts';
import type { KubeObject } from '../../../operator/kube/objects.ts';

function gateway(finalizers: readonly string[]): KubeObject {
  const metadata = {
    name: 'chat',
    namespace: 'shop',
    uid: 'u-1',
    deletionTimestamp: '2026-01-01T00:00:00Z',
    finalizers,
  };
  return { apiVersion: 'hydrogen.dev/v1alpha1', kind: 'HydrogenGateway', metadata };
}

test('an object whose children are to stay is remembered until it is gone, also without its finalizer', () => {
  const store = createStore();
  const [first, second] = [gateway(['orphan', 'hydrogen.dev/consumers']), gateway(['hydrogen.dev/consumers'])];
  assert.equal(store.leavesOrphans(second), false);
  store.putCustom({ key: 'k', before: undefined, after: first, isOwn: false });
  store.putCustom({ key: 'k', before: first, after: second, isOwn: false });
  assert.equal(store.leavesOrphans(second), true);
  store.putCustom({ key: 'k', before: second, after: undefined, isOwn: false });
  assert.equal(store.leavesOrphans(second), false);
});
