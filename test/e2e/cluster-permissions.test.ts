/** An operator with the rights of dist/install.yaml, under the policies that a platform can add. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';

import { eventually } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { stageOrSkip, useStage } from './chat.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 60_000, everyMs: 100 };

test('under the sample policy for the operator, a chat is created, changed and deleted', { skip }, async () => {
  const { cluster } = stage.platform;
  await cluster.kubectl(['apply', '-f', join(root, 'examples/policies/operator.yaml')]);
  const operator = '--as=system:serviceaccount:hydrogen-system:hydrogen-operator';
  const probe = (): Promise<string> =>
    cluster.kubectl([operator, 'create', 'configmap', 'probe', '--dry-run=server']).catch(String);
  await eventually(async () => (await probe()).includes('hydrogen-operator-writes'), patiently);

  const namespace = await stage.chat('guarded');
  await using client = await namespace.connect('chat', '/chat');
  client.send('hello');
  assert.equal(await client.nextText(), 'echo hello');

  const merge = (resource: string, spec: object): Promise<string> =>
    namespace.kubectl(['patch', resource, '--type=merge', '-p', JSON.stringify({ spec })]);
  await merge('hgw/chat', { autoscaling: { maxReplicas: 2 } });
  await eventually(async () => (await namespace.get('hpa')).items.length === 1, patiently);
  await merge('hgw/chat', { autoscaling: null });
  await eventually(async () => (await namespace.get('hpa')).items.length === 0, patiently);
  await namespace.kubectl(['delete', 'networkpolicy,configmap', '-l', 'hydrogen.dev/gateway=chat']);
  await eventually(async () => (await namespace.get('networkpolicy')).items.length === 2, patiently);

  await namespace.kubectl(['delete', 'hmp,hgw,hgrp', '--all', '--timeout=60s']);
  await eventually(async () => (await namespace.get('deployments,services')).items.length === 0, patiently);
});

test('the network policy of a gateway gets, changes and loses its egress without a restart of pods', {
  skip,
}, async () => {
  const namespace = await stage.chat('egress');
  const [before] = await namespace.pods('gateway');
  const policy = async (): Promise<{ policyTypes: string[]; egress?: object[] }> =>
    (await namespace.get('networkpolicy/chat-gateway')).spec;
  assert.deepEqual((await policy()).policyTypes, ['Ingress']);
  const set = (egress: object | null): Promise<string> =>
    namespace.kubectl(['patch', 'hgw/chat', '--type=merge', '-p', JSON.stringify({ spec: { egress } })]);

  await set({});
  await eventually(async () => (await policy()).policyTypes.includes('Egress'), patiently);
  const dns = { ports: ['UDP', 'TCP'].map((protocol) => ({ port: 53, protocol })) };
  assert.deepEqual((await policy()).egress, [dns]);
  const to = [{ ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.7/32'] } }];
  await set({ allow: [{ to, ports: [{ port: 4222 }] }] });
  await eventually(async () => (await policy()).egress?.length === 2, patiently);
  assert.deepEqual((await policy()).egress?.[1], { to, ports: [{ port: 4222, protocol: 'TCP' }] });
  await assert.rejects(
    set({ allow: [{ to: [{}] }] }),
    /must have either ipBlock, or namespaceSelector, podSelector or both/,
  );
  await set(null);
  await eventually(async () => (await policy()).egress === undefined, patiently);
  assert.deepEqual((await policy()).policyTypes, ['Ingress']);

  const [after] = await namespace.pods('gateway');
  assert.equal(after?.uid, before?.uid);
});
