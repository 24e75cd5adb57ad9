/** A cluster that acts by itself: autoscalers, and a control plane that is away for a while. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually, holds } from '../kit/eventually.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';
import type { Any, Namespace } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);

const patiently = { timeoutMs: 40_000, everyMs: 100 };

const replicasOf = async (namespace: Namespace): Promise<number> =>
  (await namespace.get('deployment/chat-gateway')).spec.replicas;

const system = (...args: string[]): Promise<string> =>
  stage.platform.cluster.kubectl(['-n', 'hydrogen-system', ...args]);

/** The pod of the operator that leads. */
async function leader(): Promise<string> {
  const holder = await system('get', 'lease', 'hydrogen-operator', '-o', 'jsonpath={.spec.holderIdentity}');
  return holder.split('_', 1)[0] ?? '';
}

test('an autoscaler owns the number of pods, whatever the operator does', { skip }, async () => {
  const autoscaling = { minReplicas: 2, maxReplicas: 4 };
  const namespace = await stage.chat('scaled', { gateway: { autoscaling } });
  assert.equal(await replicasOf(namespace), 2);
  await namespace.kubectl(['scale', 'deployment/chat-gateway', '--replicas=3']);
  await eventually(async () => (await namespace.addresses('chat')).length === 3, patiently);

  const endpoints = [{ path: '/chat' }, { path: '/news' }];
  await namespace.apply(stage.documents({ gateway: { autoscaling, endpoints } }).gateway);
  const { generation } = (await namespace.get('hgw/chat')).metadata;
  await eventually(async () => (await namespace.get('hgw/chat')).status.observedGeneration === generation, patiently);
  assert.equal(await replicasOf(namespace), 3);

  const before = await leader();
  await system('delete', 'pod', before, '--timeout=40s');
  await eventually(async () => {
    const now = await leader();
    return now !== '' && now !== before;
  }, patiently);
  const template = { annotations: { example: 'seen by the next operator' } };
  await namespace.apply(stage.documents({ gateway: { autoscaling, endpoints, template } }).gateway);
  await eventually(async () => {
    const { spec } = await namespace.get('deployment/chat-gateway');
    return spec.template.metadata.annotations.example !== undefined;
  }, patiently);
  assert.equal(await replicasOf(namespace), 3);
  const managers = ((await namespace.get('deployment/chat-gateway', '--show-managed-fields')) as Any).metadata
    .managedFields;
  const owners = managers.filter(({ fieldsV1 }: Any) => fieldsV1['f:spec']?.['f:replicas'] !== undefined);
  assert.ok(owners.every(({ manager }: Any) => manager !== 'hydrogen-operator'));
});

test('clients are served while the API server is away, and later changes are applied', {
  skip,
}, async () => {
  const namespace = await stage.chat('away');
  await using client = await namespace.connect('chat', '/chat');
  const address = (await namespace.addresses('chat'))[0];
  await stage.platform.cluster.stop();
  client.send('alone');
  assert.equal(await client.nextText(), 'echo alone');
  await stage.platform.cluster.start();
  await namespace.kubectl(['scale', 'hgw/chat', '--replicas=2']);
  await eventually(async () => (await namespace.addresses('chat')).length === 2, patiently);
  assert.ok((await namespace.addresses('chat')).includes(address ?? ''));
  await namespace.untilReady(...chatResources);
  await holds(() => client.socket.readyState === client.socket.OPEN, 100);
});
