import assert from 'node:assert/strict';
import test from 'node:test';

import { testLanes } from './lanes.ts';

test('every test file is in one lane, and those with a control plane wait for its programs', () => {
  const { withCluster, withoutCluster } = testLanes();
  assert.ok(withCluster.includes('test/operator/cluster.test.ts'));
  assert.ok(withCluster.some((file) => file.startsWith('test/cluster/')));
  assert.ok(withoutCluster.includes('test/kit/lanes.test.ts'));
  assert.ok(withoutCluster.includes('test/crds/parse.test.ts'));
  assert.ok(withoutCluster.length > withCluster.length);
  assert.equal(new Set([...withCluster, ...withoutCluster]).size, withCluster.length + withoutCluster.length);
});
