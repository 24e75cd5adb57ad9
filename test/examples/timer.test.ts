/** examples/timer: a gateway that only sends, and the process that broadcasts through its management API. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import { type Process, receives, root, startApp, startProcess } from './kit.ts';

test('the timer example sends every client the time every second', async (t) => {
  await using app = await startApp(t, 'timer/app.yaml');
  await using alice = await connect(`${app.clientUrl}/time`);
  await using bob = await connect(`${app.clientUrl}/time`);
  await using _broadcaster = startBroadcaster(t, app.managementUrl);

  const time = await receives(alice, /^\d{4}-\d\d-\d\dT/);
  await receives(bob, new RegExp(time));
  await eventually(() => assert.ok(new Set(alice.texts).size >= 2), { timeoutMs: 10_000 });
});

test('the timer example closes a client that sends a message with 1003', async (t) => {
  await using app = await startApp(t, 'timer/app.yaml');
  await using client = await connect(`${app.clientUrl}/time`);

  client.send('what is the time?');

  assert.equal((await client.closed).code, 1003);
});

function startBroadcaster(t: TestContext, managementUrl: string): Process {
  return startProcess(t, process.execPath, [join(root, 'examples/timer/broadcast.mjs')], { CALLBACK: managementUrl });
}
