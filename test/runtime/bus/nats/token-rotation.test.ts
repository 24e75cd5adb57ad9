/** A token that changes: the mounted secret may have the new one before the servers do, or after them. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { connect } from 'nats';

import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats, type TestNats } from '../../../kit/nats.ts';
import { natsGroup } from './kit.ts';

const skip = await natsOrSkip();
const requiring = (token: string): string => `authorization { token: ${token} }`;

/** The running server takes over another token, and disconnects whoever logged in with the earlier one. */
async function change(nats: TestNats, token: string): Promise<void> {
  await writeFile(join(nats.storeDir, 'nats.conf'), requiring(token));
  process.kill(nats.pid ?? 0, 'SIGHUP');
  await eventually(async () => {
    await (await connect({ servers: nats.url, token, reconnect: false })).close();
    return true;
  });
}

test('a bus whose secret is ahead of the servers logs in with the token that they had accepted', { skip }, async () => {
  await using nats = await startNats({ config: requiring('old') });
  let token = 'old';
  await using kit = natsGroup(nats, { authentication: () => ({ token }) });
  const bus = await kit.started();
  token = 'new';
  await nats.kill();
  await eventually(() => bus.status === 'down');
  await nats.start();
  await eventually(() => bus.status === 'up');
  await change(nats, 'new');
  await eventually(() => bus.status === 'up');
  // By now the new one is the accepted one.
  token = 'newer';
  await nats.kill();
  await eventually(() => bus.status === 'down');
  await nats.start();
  await eventually(() => bus.status === 'up');
});

test('a bus whose secret is behind the servers is up as soon as it changes', { skip }, async () => {
  await using nats = await startNats({ config: requiring('old') });
  let token = 'old';
  await using kit = natsGroup(nats, { authentication: () => ({ token }) });
  const bus = await kit.started();
  await change(nats, 'new');
  await eventually(() => bus.status === 'down');
  await holds(() => bus.status === 'down', 300);
  token = 'new';
  await eventually(() => bus.status === 'up');
});

test('a token that was never accepted is tried by itself', { skip }, async () => {
  await using nats = await startNats({ config: requiring('old') });
  const problems: unknown[] = [];
  await using kit = natsGroup(nats, {
    authentication: () => ({ token: 'wrong' }),
    onEvent: ({ kind, cause }) => void (kind === 'connectFailed' && problems.push(cause)),
  });
  const bus = kit.bus();
  await bus.start();
  await eventually(() => problems.length > 1);
  assert.match(String(problems[0]), /Authorization Violation/);
  assert.equal(bus.status, 'down');
});
