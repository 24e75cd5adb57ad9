/** A user's daily work with kubectl, on a cluster with the operator of dist/install.yaml. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { startDestination } from '../kit/destination.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';
import type { Any, Namespace } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 20_000, everyMs: 100 };

async function allPods(namespace: Namespace): Promise<string> {
  const pods = [...(await namespace.pods('gateway')), ...(await namespace.pods('mproc'))];
  return JSON.stringify(pods);
}

test('a gateway and a processor created before their group become Ready with it, and a client gets its echo', {
  skip,
}, async () => {
  const namespace = await stage.platform.namespace('order');
  const { group, gateway, processor } = stage.documents();
  await namespace.apply(gateway, processor);
  for (const resource of ['hgw/chat', 'hmp/chat']) {
    await namespace.untilCondition(resource, 'Ready', 'False/GroupNotFound');
  }
  assert.equal((await namespace.get('deployments')).items.length, 0);
  await namespace.apply(group);
  await namespace.untilReady(...chatResources);
  await using client = await namespace.connect('chat', '/chat');
  client.send('hello');
  assert.equal(await client.nextText(), 'echo hello');
});

test('new routing takes effect without closing a socket or restarting a pod', { skip }, async () => {
  const namespace = await stage.chat('routing');
  await using next = await startDestination((request) => ({ body: `next ${request.json().message}` }));
  const before = await allPods(namespace);
  await using client = await namespace.connect('chat', '/chat');
  let sent = 0;
  const sending = setInterval(() => client.send(`${sent++}`), 20);
  try {
    await eventually(() => client.texts.length > 10);
    await namespace.apply(stage.documents({ url: next.url }).processor);
    await eventually(() => client.texts.at(-1)?.startsWith('next') === true);
  } finally {
    clearInterval(sending);
  }
  await eventually(() => client.texts.length >= sent);
  await namespace.untilReady('hmp/chat');
  assert.equal(client.socket.readyState, client.socket.OPEN);
  assert.equal(await allPods(namespace), before);
  const from = client.texts.findIndex((text) => text.startsWith('next'));
  assert.ok(client.texts.slice(from + 50).every((text) => text.startsWith('next')));
  assert.equal(new Set(client.texts.map((text) => text.split(' ')[1])).size, sent);
});

test('kubectl scale of a gateway adds pods, endpoints, and figures that kubectl get shows', { skip }, async () => {
  const namespace = await stage.chat('scale');
  await namespace.kubectl(['scale', 'hgw/chat', '--replicas=3']);
  await eventually(async () => (await namespace.addresses('chat')).length === 3, patiently);
  assert.equal((await namespace.get('deployment/chat-gateway')).spec.replicas, 3);
  await namespace.untilReady('hgw/chat');
  const [head = '', row = ''] = (await namespace.kubectl(['get', 'hgw', 'chat'])).split('\n');
  const figures = Object.fromEntries(head.split(/ +/).map((column, index) => [column, row.split(/ +/)[index]]));
  assert.deepEqual([figures.READY, figures.REPLICAS, figures.AVAILABLE], ['True', '3', '3']);
  await namespace.kubectl(['scale', 'hgw/chat', '--replicas=1']);
  await eventually(async () => (await namespace.addresses('chat')).length === 1, patiently);
});

test('nothing is written for a paused gateway, and its changes are applied when it resumes', { skip }, async () => {
  const namespace = await stage.chat('paused');
  const children = ['deployment', 'configmap', 'service', 'pdb'].map((kind) => `${kind}/chat-gateway`);
  const versions = async (): Promise<string> => {
    const { items } = await namespace.get(...children);
    return JSON.stringify(items.map(({ metadata, spec, data }: Any) => [metadata.generation, spec, data]));
  };
  const patch = (spec: object): Promise<string> =>
    namespace.kubectl(['patch', 'hgw/chat', '--type=merge', '-p', JSON.stringify({ spec })]);
  await patch({ paused: true });
  await namespace.untilCondition('hgw/chat', 'Paused', 'True/Paused');
  const before = await versions();
  await patch({ replicas: 2, endpoints: [{ path: '/chat' }, { path: '/news' }] });
  const { metadata } = await namespace.get('hgw/chat');
  await eventually(async () => (await namespace.get('hgw/chat')).status.observedGeneration === metadata.generation);
  await holds(async () => (await versions()) === before, 1000);
  await patch({ paused: false });
  await namespace.untilCondition('hgw/chat', 'Paused', 'False/NotPaused');
  await eventually(async () => (await namespace.addresses('chat')).length === 2, patiently);
  await namespace.untilReady('hgw/chat');
  await using client = await eventually(() => namespace.connect('chat', '/news'), { everyMs: 100 });
  client.send('hello');
  assert.equal(await client.nextText(), 'echo hello');
});
