/** The plan of the fault run. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { createPlan, faultKinds, faultSpecs } from './soak/plan.ts';

const size = { gateways: 2, processors: 2, destinations: 3, nodes: 3 };
const long = { seed: 7, durationMs: 600_000, size };

test('a seed gives one plan, and another seed another one', () => {
  assert.deepEqual(createPlan(long), createPlan(long));
  assert.notDeepEqual(createPlan(long).faults, createPlan({ ...long, seed: 8 }).faults);
});

test('every kind of fault is in a long plan, and only the chosen ones are in a plan of some', () => {
  const kinds = new Set(createPlan(long).faults.map(({ kind }) => kind));
  assert.deepEqual([...kinds].sort(), [...faultKinds].sort());
  const { faults } = createPlan({ ...long, kinds: ['killNode', 'stopGateway'] });
  assert.deepEqual(new Set(faults.map(({ kind }) => kind)), new Set(['killNode', 'stopGateway']));
});

test('faults end in time, follow one another closely, and never strike the same thing twice at once', () => {
  for (let seed = 0; seed < 50; seed++) {
    const { faults } = createPlan({ ...long, seed });
    assert.ok(faults.length > 150, `${faults.length} faults of seed ${seed}`);
    for (const [index, one] of faults.entries()) {
      assert.ok(one.atMs + one.forMs < long.durationMs);
      const { on, seconds } = faultSpecs[one.kind];
      assert.ok(one.forMs >= seconds[0] * 1000 && one.forMs <= seconds[1] * 1000);
      for (const other of faults.slice(index + 1)) {
        if (faultSpecs[other.kind].on !== on) continue;
        if (on !== 'nats' && other.target !== one.target) continue;
        assert.ok(other.atMs > one.atMs + one.forMs, `${one.kind} and ${other.kind} of seed ${seed}`);
      }
    }
  }
});
