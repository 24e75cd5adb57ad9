import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Circuit } from '../../../runtime/processor/circuit.ts';
import type { CircuitState } from '../../../runtime/role/events.ts';

const options = { connections: 3, firstDelayMs: 1_000, maxDelayMs: 3_000 };

function start() {
  const states: CircuitState[] = [];
  return { states, circuit: new Circuit(options, (state) => states.push(state)) };
}

test('opens once messages of that many connections have failed and none has succeeded', () => {
  const { circuit, states } = start();
  circuit.failed('a', 0);
  circuit.failed('b', 0);
  circuit.succeeded();
  circuit.failed('a', 0);
  circuit.failed('b', 0);
  assert.deepEqual([circuit.state, states], ['closed', []]);
  circuit.failed('c', 0);
  assert.deepEqual([circuit.state, states], ['open', ['open']]);
  circuit.stop();
});

test('stays closed to others when the messages of one client always fail', () => {
  const { circuit } = start();
  for (let attempt = 0; attempt < 10; attempt++) circuit.failed('poison', 0);
  assert.equal(circuit.state, 'closed');
});

test('tries a few requests after a delay that doubles each time they have failed', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { circuit, states } = start();
  for (const id of ['a', 'b', 'c']) circuit.failed(id, 0);
  for (const delayMs of [1_000, 2_000, 3_000, 3_000]) {
    context.mock.timers.tick(delayMs - 1);
    assert.equal(circuit.state, 'open');
    context.mock.timers.tick(1);
    assert.deepEqual([circuit.state, circuit.admits], ['halfOpen', 3]);
    circuit.failed('a', 0);
    circuit.failed('b', 0);
    assert.equal(circuit.state, 'halfOpen');
    circuit.failed('c', 0);
  }
  context.mock.timers.tick(3_000);
  circuit.succeeded();
  assert.equal(circuit.state, 'closed');
  assert.deepEqual(states.slice(-3), ['open', 'halfOpen', 'closed']);
  for (const id of ['a', 'b', 'c']) circuit.failed(id, 0);
  context.mock.timers.tick(1_000);
  assert.equal(circuit.state, 'halfOpen', 'the delay starts again from the first one');
});

test('leaves a destination alone for as long as it asked', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { circuit } = start();
  for (const id of ['a', 'b', 'c']) circuit.failed(id, 20_000);
  context.mock.timers.tick(19_999);
  assert.equal(circuit.state, 'open');
  context.mock.timers.tick(1);
  assert.equal(circuit.state, 'halfOpen');
});

test('closes when a request that was under way succeeds', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { circuit, states } = start();
  for (const id of ['a', 'b', 'c', 'd']) circuit.failed(id, 0);
  circuit.succeeded();
  context.mock.timers.tick(10_000);
  assert.deepEqual(states, ['open', 'closed']);
});
