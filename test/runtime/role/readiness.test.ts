import assert from 'node:assert/strict';
import test from 'node:test';
import type { RoleLog } from '../../../runtime/role/log.ts';
import { Readiness } from '../../../runtime/role/readiness.ts';

function start() {
  const logged: string[] = [];
  const state: { reason: string | undefined } = { reason: 'the bus is down' };
  const log = { ready: () => logged.push('ready'), notReady: () => logged.push('not ready') } as unknown as RoleLog;
  return { logged, state, readiness: new Readiness(() => state.reason, log) };
}

test('logs ready and not ready at the change, and nothing in between', () => {
  const { logged, state, readiness } = start();
  readiness.update();
  assert.deepEqual(logged, []);
  state.reason = undefined;
  readiness.update();
  readiness.update();
  state.reason = 'no consumer';
  readiness.update();
  assert.deepEqual(logged, ['ready', 'not ready']);
  readiness.end();
  state.reason = undefined;
  readiness.update();
  assert.deepEqual(logged, ['ready', 'not ready']);
});

test('resolves for those who wait once it is reached', async () => {
  const { state, readiness } = start();
  const reached = readiness.reached();
  state.reason = undefined;
  readiness.update();
  await reached;
  await readiness.reached();
});
