/** A process that was stopped, and clocks that were set, cost no healthy client its connection. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { MountedSecrets } from '../../../runtime/role/secrets.ts';
import { connect } from '../../kit/client.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';

const heartbeat = { intervalSeconds: 1, timeoutSeconds: 2 };

test('keeps clients after the process was stopped for longer than the heartbeat time-out', async () => {
  await using gateway = await startGateway({ spec: { heartbeat } });
  await using client = await connect(gateway.url('/chat'));
  // As SIGSTOP does to the process: no timer and no socket gets its turn.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_500);
  await holds(() => client.socket.readyState === client.socket.OPEN, 1_500);
});

test('cuts a dead client off all the same', async () => {
  await using gateway = await startGateway({ spec: { heartbeat } });
  await using client = await connect(gateway.url('/chat'), { autoPong: false });
  assert.equal((await client.closed).code, 1006);
});

test('keeps clients when the clock is set forward', async (context) => {
  await using gateway = await startGateway({ spec: { heartbeat } });
  await using client = await connect(gateway.url('/chat'));
  const now = Date.now;
  context.mock.method(Date, 'now', () => now() + 120_000);
  await holds(() => client.socket.readyState === client.socket.OPEN, 1_500);
});

test('ends a drain when the clock is set back', async (context) => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  client.socket.pause();
  const now = Date.now;
  const closed = gateway.gateway.stop('test', 0);
  await eventually(() => gateway.lines.some(({ msg }) => msg === 'stopping'));
  context.mock.method(Date, 'now', () => now() - 3_600_000);
  const startedMs = performance.now();
  await closed;
  // Three seconds of silence after the close frame, and not the 15 that a drain may take.
  assert.ok(performance.now() - startedMs < 10_000);
});

test('reads a rotated secret when the clock is set back', async (context) => {
  const dir = await mkdtemp(join(tmpdir(), 'hydrogen-'));
  context.after(() => rm(dir, { recursive: true }));
  await mkdir(join(dir, 'keys'));
  await writeFile(join(dir, 'keys', 'token'), 'old');
  const secrets = new MountedSecrets(dir, () => {});
  const ref = { name: 'keys', key: 'token' };
  assert.equal(secrets.read(ref), 'old');
  await writeFile(join(dir, 'keys', 'token'), 'new');
  const now = Date.now;
  context.mock.method(Date, 'now', () => now() - 3_600_000);
  await eventually(() => secrets.read(ref) === 'new');
});
