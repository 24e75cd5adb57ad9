/** Pods that the cluster does not create: the conditions have its words, and recover by themselves. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually } from '../kit/eventually.ts';
import { stageOrSkip, useStage } from './chat.ts';
import { type Namespace, nextImage } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 60_000, everyMs: 100 };

const quota = (pods: number): object => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name: 'small' },
  spec: { hard: { pods: `${pods}` } },
});

/** Resolves once the quota is enforced. */
async function limit(namespace: Namespace, pods: number): Promise<void> {
  await namespace.apply(quota(pods));
  await eventually(
    async () => (await namespace.get('resourcequota/small')).status?.hard?.pods === `${pods}`,
    patiently,
  );
}

async function messageOf(namespace: Namespace, resource: string, type: string): Promise<string> {
  const { status } = await namespace.get(resource);
  return status.conditions.find((one: { type: string }) => one.type === type).message;
}

test('a quota without room for pods: Available has its words, and the pods come once there is room', {
  skip,
}, async () => {
  const namespace = await stage.platform.namespace('quota');
  await limit(namespace, 0);
  await namespace.apply(...Object.values(stage.documents()));
  for (const resource of ['hgw/chat', 'hmp/chat']) {
    await namespace.untilCondition(resource, 'Available', 'False/PodsRefused', { timeoutMs: 20_000 });
    await namespace.untilCondition(resource, 'Stalled', 'True/PodsRefused');
    const message = await messageOf(namespace, resource, 'Ready');
    assert.match(
      message,
      /^0 of 1 pods of Deployment\/chat-\w+ are available; .*exceeded quota: small, requested: pods=1/,
    );
    assert.doesNotMatch(message, /describe pods/);
  }
  await limit(namespace, 10);
  await eventually(async () => (await namespace.condition('hgw/chat', 'Ready')) === 'True/Ready', patiently);
  assert.equal(await namespace.condition('hgw/chat', 'Stalled'), 'none');
});

test('a quota without room for new pods: the rollout has its words, and the old pods stay', { skip }, async () => {
  const namespace = await stage.chat('quota-rollout');
  const before = await namespace.pods('gateway');
  await limit(namespace, 2);
  await namespace.apply(stage.documents({ gateway: { template: { image: nextImage } } }).gateway);
  await namespace.untilCondition('hgw/chat', 'RollingOut', 'True/PodsRefused', { timeoutMs: 20_000 });
  assert.match(await messageOf(namespace, 'hgw/chat', 'RollingOut'), /exceeded quota: small/);
  assert.equal(await namespace.condition('hgw/chat', 'Available'), 'True/Available');
  assert.deepEqual(await namespace.pods('gateway'), before);
});

test('managed NATS without pods: the message names the object whose events say why', { skip }, async () => {
  const namespace = await stage.platform.namespace('quota-nats');
  await limit(namespace, 0);
  const maxBytes = '64Mi';
  const nats = { managed: { replicas: 1, storage: { size: '1Gi' } } };
  const { group } = stage.documents() as { group: { spec: object } };
  await namespace.apply({ ...group, spec: { nats, stream: { maxBytes }, deadLetter: { maxBytes } } });
  await namespace.untilCondition('hgrp/chat', 'Available', 'False/PodsNotReady', { timeoutMs: 20_000 });
  await eventually(
    async () =>
      /; see kubectl describe StatefulSet\/chat-nats$/.test(await messageOf(namespace, 'hgrp/chat', 'Available')),
    patiently,
  );
  const described = await namespace.kubectl(['describe', 'StatefulSet/chat-nats']);
  assert.match(described, /FailedCreate.*exceeded quota: small/);
});
