/** examples/echo.yaml with the destination that `hydrogen echo` is. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '../kit/client.ts';
import { receives, root, startApp, startProcess } from './kit.ts';

test('the echo example sends each client its own message back', async (t) => {
  await using app = await startApp(t, 'echo.yaml', 8099);
  await using echo = startProcess(t, process.execPath, [
    join(root, 'cli/hydrogen.js'),
    'echo',
    '--port',
    `${app.destinationPort}`,
  ]);
  await echo.prints(new RegExp(`\\b${app.destinationPort}\\b`));
  await using alice = await connect(`${app.clientUrl}/echo`);
  await using bob = await connect(`${app.clientUrl}/echo`);

  alice.send('hello from alice');
  bob.send('hello from bob');

  await receives(alice, /hello from alice/);
  await receives(bob, /hello from bob/);
  assert.equal(alice.texts.length, 1);
  assert.equal(bob.texts.length, 1);
});
