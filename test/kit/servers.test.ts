/** Servers that cannot be started leave nothing behind. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { startApiServer } from './apiserver.ts';
import { clusterOrSkip, startControlPlane } from './control-plane.ts';
import { natsOrSkip, startNats } from './nats.ts';
import { runningChildren } from './orphans.ts';
import { startServer, untilReady } from './server-process.ts';

const noNats = await natsOrSkip();
const noCluster = await clusterOrSkip();

test('a server that ends is not waited for', async () => {
  await using server = startServer(process.execPath, ['-e', 'console.error("no room"); process.exit(1)']);
  const startedMs = Date.now();
  await assert.rejects(
    untilReady(server, () => Promise.reject(new Error('refused'))),
    /ended: no room/,
  );
  assert.ok(Date.now() - startedMs < 30_000);
});

test('a nats-server that refuses its flags leaves no process', { skip: noNats }, async () => {
  await assert.rejects(startNats({ args: ['--no-such-flag'] }), /nats-server ended/);
  assert.deepEqual(runningChildren(), []);
});

test('etcd goes when its API server cannot be started', { skip: noCluster }, async () => {
  await assert.rejects(startApiServer({ flags: ['--no-such-flag'] }), /kube-apiserver ended/);
  assert.deepEqual(runningChildren(), []);
});

test('a control plane goes when kubectl refuses a manifest', { skip: noCluster }, async () => {
  await assert.rejects(startControlPlane({ manifests: ['/no/such/file.yaml'] }), /no\/such\/file/);
  assert.deepEqual(runningChildren(), []);
});
