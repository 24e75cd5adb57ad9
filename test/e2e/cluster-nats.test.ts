/** NATS servers that the operator runs for a group: clients do not notice their restarts. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { groupDocument } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';
import { startCrowd } from './crowd.ts';
import type { Namespace } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);

const patiently = { timeoutMs: 40_000, everyMs: 100 };

/** A namespace with a chat whose group has this many servers, each with a copy of every message. */
async function managed(name: string, replicas: number): Promise<Namespace> {
  const namespace = await stage.platform.namespace(name);
  const { gateway, processor } = stage.documents();
  const nats = { managed: { replicas, storage: { size: '3Gi' } } };
  const spec = { nats, stream: { replicas } };
  await namespace.apply(groupDocument(spec), gateway, processor);
  await namespace.untilReady(...chatResources);
  return namespace;
}

test('managed NATS runs, keeps its volume through a restart, and carries messages', { skip }, async () => {
  const namespace = await managed('managed', 1);
  await using client = await namespace.connect('chat', '/chat');
  client.send('hello');
  assert.equal(await client.nextText(), 'echo hello');

  const [before] = await namespace.pods('nats');
  await namespace.kubectl(['delete', 'pod/chat-nats-0', '--timeout=40s']);
  assert.match(stage.platform.kubelet.logs('managed', 'chat-nats-0'), /lame duck/i);
  await eventually(async () => {
    const [pod] = await namespace.pods('nats');
    return pod !== undefined && pod.uid !== before?.uid;
  }, patiently);
  await namespace.untilReady(...chatResources);
  await using next = await eventually(() => namespace.connect('chat', '/chat'), patiently);
  next.send('again');
  assert.equal(await next.nextText(), 'echo again');
  assert.match(stage.platform.kubelet.logs('managed', 'chat-nats-0'), /Restored .* messages|Starting restore/);
});

test('three servers restart one by one without closing a socket or losing a message', { skip }, async (context) => {
  const namespace = await managed('three', 3);
  const before = await namespace.pods('nats');
  assert.equal(before.length, 3);
  const earlier = stage.echo.requests.length;
  await using crowd = startCrowd(6, async () =>
    (await namespace.addresses('chat')).map((address) => `${address}/chat`),
  );
  await eventually(() => crowd.connected === 6);
  await namespace.kubectl(['rollout', 'restart', 'statefulset/chat-nats']);
  await namespace.kubectl(['rollout', 'status', 'statefulset/chat-nats', '--timeout=100s']);
  const after = await namespace.pods('nats');
  assert.equal(after.length, 3);
  assert.ok(after.every(({ uid }) => before.every((pod) => pod.uid !== uid)));
  await crowd.stop();

  assert.deepEqual([crowd.codes, crowd.refusals], [[], 0]);
  const promised = crowd.promised();
  context.diagnostic(`${promised.length} messages`);
  const lost = (): string[] => crowd.lost(stage.echo.requests.slice(earlier));
  await eventually(() => lost().length === 0, patiently).catch(() => assert.deepEqual(lost(), []));
  await namespace.untilReady(...chatResources);
});
