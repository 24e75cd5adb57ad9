/** Deleting custom resources leaves nothing behind except what a user asked to keep. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, type JetStreamManager } from 'nats';

import { busGroup } from '../../crds/contract.ts';
import { createSubjects, type Subjects } from '../../runtime/bus/subjects.ts';
import { eventually } from '../kit/eventually.ts';
import { startNats } from '../kit/nats.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';
import type { Namespace } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);

const patiently = { timeoutMs: 20_000, everyMs: 100 };
/** Config maps are checked by name, since each namespace has one from the cluster itself. */
const kinds = 'deployments,replicasets,pods,services,endpointslices,pdb,networkpolicies,configmaps,hydrogen';

async function leftIn(namespace: Namespace): Promise<string[]> {
  const { items } = await namespace.get(kinds);
  const names = (items as { kind: string; metadata: { name: string } }[]).map(
    ({ kind, metadata }) => `${kind}/${metadata.name}`,
  );
  return names.filter((name) => name !== 'ConfigMap/kube-root-ca.crt');
}

async function withJetStream(work: (manager: JetStreamManager) => Promise<void>): Promise<void> {
  const connection = await connect({ servers: stage.nats.url });
  try {
    await work(await connection.jetstreamManager());
  } finally {
    await connection.close();
  }
}

async function streamsOf(
  manager: JetStreamManager,
  { stream, deadLetterStream, waitingStream, leaseBucket }: Subjects,
): Promise<string[]> {
  const mine = [stream, deadLetterStream, waitingStream, `KV_${leaseBucket}`];
  const found = (await manager.streams.list().next()).map(({ config }) => config.name);
  return found.filter((name) => mine.includes(name));
}

test('deleting the objects removes pods, services and consumers, and keeps the streams', { skip }, async () => {
  const namespace = await stage.chat('retained');
  const subjects = createSubjects(busGroup(namespace.name, 'chat'));
  const pids = [...(await namespace.pods('gateway')), ...(await namespace.pods('mproc'))].map(({ pid }) => pid);
  await withJetStream(async (manager) => {
    assert.equal((await manager.consumers.list(subjects.stream).next()).length, 2);
    await namespace.kubectl(['delete', 'hmp/chat', 'hgw/chat', 'hgrp/chat', '--timeout=30s']);
    await eventually(async () => (await leftIn(namespace)).length === 0, patiently);
    assert.equal((await manager.consumers.list(subjects.stream).next()).length, 0);
    assert.equal((await streamsOf(manager, subjects)).length, 4);
  });
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('a group with deletionPolicy Delete waits for its members and then deletes its streams', {
  skip,
}, async () => {
  const namespace = await stage.chat('deleted', { group: { stream: { deletionPolicy: 'Delete' } } });
  const subjects = createSubjects(busGroup(namespace.name, 'chat'));
  await withJetStream(async (manager) => {
    assert.equal((await streamsOf(manager, subjects)).length, 4);
    await namespace.kubectl(['delete', 'hgrp/chat', '--wait=false']);
    await namespace.untilCondition('hgrp/chat', 'Ready', 'False/WaitingForMembers');
    await namespace.kubectl(['delete', 'hmp/chat', 'hgw/chat', '--timeout=30s']);
    await eventually(async () => (await leftIn(namespace)).length === 0, patiently);
    assert.deepEqual(await streamsOf(manager, subjects), []);
  });
});

test('a namespace with a whole group can be deleted while the operator runs', { skip }, async () => {
  const namespace = await stage.chat('whole');
  await stage.platform.cluster.kubectl(['delete', 'namespace', namespace.name, '--timeout=60s']);
});

test('a namespace whose NATS is gone for good can be deleted, even with deletionPolicy Delete', {
  skip,
}, async () => {
  const nats = await startNats();
  const namespace = await stage.platform.namespace('orphaned');
  const { group, gateway, processor } = stage.documents();
  const spec = { nats: { servers: [nats.url] }, stream: { deletionPolicy: 'Delete' } };
  await namespace.apply({ ...group, spec }, gateway, processor);
  await namespace.untilReady(...chatResources);
  await nats[Symbol.asyncDispose]();
  await stage.platform.cluster.kubectl(['delete', 'namespace', namespace.name, '--timeout=100s']);
});

test('objects deleted with --cascade=orphan leave their pods, and new ones take them over as annotated', {
  skip,
}, async () => {
  const namespace = await stage.chat('adopted');
  await using client = await namespace.connect('chat', '/chat');
  const pids = async (): Promise<number[]> =>
    [...(await namespace.pods('gateway')), ...(await namespace.pods('mproc'))].map(({ pid }) => pid);
  const before = await pids();
  await namespace.kubectl(['delete', 'hmp/chat', 'hgw/chat', '--cascade=orphan', '--timeout=60s']);
  client.send('one');
  assert.equal(await client.nextText(), 'echo one');

  const { gateway, processor } = stage.documents();
  await namespace.apply(gateway, processor);
  for (const resource of ['hgw/chat', 'hmp/chat']) {
    await namespace.untilCondition(resource, 'Stalled', 'True/Orphaned', patiently);
    const { status } = await namespace.get(resource);
    const message: string = status.conditions.find((one: { type: string }) => one.type === 'Accepted').message;
    const [, annotation = ''] = /annotate this one with ([^;]+);/.exec(message) ?? [];
    await namespace.kubectl(['annotate', resource, annotation]);
  }
  await namespace.untilReady(...chatResources);
  assert.deepEqual(await pids(), before);
  client.send('two');
  assert.equal(await client.nextText(), 'echo two');
});
