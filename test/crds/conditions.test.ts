import assert from 'node:assert/strict';
import test from 'node:test';

import { aspects, conditionTypes, isGood, isReasonOf, reasonDefinition } from '../../crds/conditions.ts';

test('a reason belongs to a type, and the compiler knows to which one', () => {
  assert.equal(reasonDefinition('Accepted', 'InvalidSpec').progress, 'stalled');
  // @ts-expect-error a reason of another type
  assert.equal(reasonDefinition('Available', 'InvalidSpec'), undefined);
  assert.ok(isReasonOf('Paused', 'GroupPaused'));
  assert.ok(!isReasonOf('Available', 'GroupPaused'));
  assert.ok(!isReasonOf('Available', 'constructor'));
});

test('each aspect has a reason for its good status, and one with a good status is never stalled', () => {
  for (const [type, { good, reasons }] of Object.entries(aspects)) {
    const all = Object.values(reasons);
    if (type !== 'Deleting')
      assert.ok(
        all.some(({ status }) => status === good),
        type,
      );
    for (const { status, progress, meaning } of all) {
      assert.notEqual(meaning, '');
      if (status === good) assert.notEqual(progress, 'stalled', type);
    }
  }
});

test('the type of a condition decides when it is good; one that is not ours is good while it is True', () => {
  assert.ok(isGood({ type: 'Available', status: 'True' }));
  assert.ok(!isGood({ type: 'Available', status: 'Unknown' }));
  assert.ok(isGood({ type: 'RollingOut', status: 'False' }));
  assert.ok(isGood({ type: 'example.com/Audited', status: 'True' }));
  assert.equal(new Set(conditionTypes).size, conditionTypes.length);
});
