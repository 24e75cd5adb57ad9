/** examples/timer: a gateway that only sends, and the process that broadcasts through its management API. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { eventually } from '../kit/eventually.ts';
import { openClient, type Process, root, startApp, startProcess } from './kit.ts';

test('the timer example tells every client the time, again and again', async (t) => {
  await using app = await startApp(t, 'timer/app.yaml');
  await using alice = await openClient(`${app.clientUrl}/time`);
  await using bob = await openClient(`${app.clientUrl}/time`);
  await using _broadcaster = startBroadcaster(t, app.managementUrl);

  const time = await alice.receives(/^\d{4}-\d\d-\d\dT/);
  await bob.receives(new RegExp(time));
  await eventually(() => assert.ok(new Set(alice.received).size >= 2), { timeoutMs: 10_000 });
});

test('the timer example closes a client that speaks with 1003', async (t) => {
  await using app = await startApp(t, 'timer/app.yaml');
  await using client = await openClient(`${app.clientUrl}/time`);

  client.send('what is the time?');

  assert.equal((await client.closed).code, 1003);
});

function startBroadcaster(t: TestContext, managementUrl: string): Process {
  return startProcess(t, process.execPath, [join(root, 'examples/timer/broadcast.mjs')], { CALLBACK: managementUrl });
}
