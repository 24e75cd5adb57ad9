/** A changed token of managed NATS: servers, pods and the operator take it over while everything runs. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { groupDocument } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';
import { startCrowd } from './crowd.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 40_000, everyMs: 100 };

const secretOf = (token: string): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'nats' },
  stringData: { token },
});

test('a changed token is taken over without closing a socket, restarting a pod or losing a message', {
  skip,
}, async (context) => {
  const namespace = await stage.platform.namespace('rotated');
  const { gateway, processor } = stage.documents();
  const nats = { managed: { replicas: 1, storage: { size: '3Gi' } }, tokenSecretRef: { name: 'nats', key: 'token' } };
  await namespace.apply(secretOf('first'), groupDocument({ nats }), gateway, processor);
  await namespace.untilReady(...chatResources);
  const podsNow = async (): Promise<string[]> => {
    const pods = await Promise.all((['gateway', 'mproc', 'nats'] as const).map((one) => namespace.pods(one)));
    return pods.flat().map(({ uid, pid }) => `${uid} ${pid}`);
  };
  const before = await podsNow();
  const log = (): string => stage.platform.kubelet.logs('rotated', 'chat-nats-0');
  const reloads = (): number => log().split('Reloaded server configuration').length - 1;
  assert.equal(reloads(), 0);
  const earlier = stage.echo.requests.length;
  await using crowd = startCrowd(6, async () =>
    (await namespace.addresses('chat')).map((address) => `${address}/chat`),
  );
  await eventually(() => crowd.connected === 6);

  await namespace.apply(secretOf('second'));
  await eventually(() => reloads() === 1, patiently);
  const delivered = stage.echo.requests.length;
  await eventually(() => stage.echo.requests.length > delivered + 100, patiently);
  await crowd.stop();
  assert.deepEqual([crowd.codes, crowd.refusals], [[], 0]);
  const lost = (): string[] => crowd.lost(stage.echo.requests.slice(earlier));
  await eventually(() => lost().length === 0, patiently).catch(() => assert.deepEqual(lost(), []));
  context.diagnostic(`${crowd.promised().length} messages`);
  assert.deepEqual(await podsNow(), before);
  await namespace.untilReady(...chatResources);

  // A process that has never known the first one.
  await namespace.kubectl(['rollout', 'restart', 'deployment/chat-gateway']);
  await namespace.kubectl(['rollout', 'status', 'deployment/chat-gateway', '--timeout=60s']);
  await using client = await eventually(() => namespace.connect('chat', '/chat'), patiently);
  client.send('hello');
  assert.equal(await client.nextText(), 'echo hello');
});
