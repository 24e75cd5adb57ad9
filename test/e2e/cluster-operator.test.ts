/** The operator as a user changes it: upgrades, and autoscalers and secrets that belong to others. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { gatewayDocument } from '../kit/documents.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { stageOrSkip, useStage } from './chat.ts';
import { type Any, type Namespace, nextImage } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 40_000, everyMs: 100 };

const imageOf = ({ spec }: Any): string => spec.template.spec.containers[0].image;

function isRollingOut({ metadata, spec, status }: Any): boolean {
  const { observedGeneration, replicas = 0, updatedReplicas = 0 } = status;
  return observedGeneration < metadata.generation || replicas > updatedReplicas || updatedReplicas < spec.replicas;
}

test('the operator leaves the number of pods to an autoscaler that is not its own', { skip }, async () => {
  const namespace = await stage.chat('foreign');
  const target = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'chat-gateway' };
  const spec = { scaleTargetRef: target, minReplicas: 3, maxReplicas: 5 };
  const metadata = { name: 'theirs' };
  await namespace.apply({ apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata, spec });
  await eventually(async () => (await namespace.addresses('chat')).length === 3, patiently);
  await namespace.untilReady('hgw/chat');
  const drain = { periodSeconds: 2 };
  await namespace.apply(stage.documents({ gateway: { drain } }).gateway);
  await eventually(async () => {
    const { spec: applied } = await namespace.get('deployment/chat-gateway');
    return applied.template.spec.terminationGracePeriodSeconds === 17;
  }, patiently);
  await holds(async () => (await namespace.get('deployment/chat-gateway')).spec.replicas === 3, 1500);
});

test('a gateway created before its secret becomes Ready once the secret exists', { skip }, async () => {
  const namespace = await stage.platform.namespace('secret');
  const headers = [{ name: 'Authorization', valueFrom: { secretKeyRef: { name: 'auth', key: 'token' } } }];
  const management = { tokenSecretRef: { name: 'auth', key: 'token' } };
  const hooks = { disconnect: { url: stage.echo.url, headers } };
  const { group, gateway, processor } = stage.documents({ gateway: { management, hooks } });
  await namespace.apply(group, gateway, processor);
  await namespace.untilCondition('hgw/chat', 'Accepted', 'False/SecretNotFound');
  await namespace.kubectl(['create', 'secret', 'generic', 'auth', '--from-literal=token=open-sesame']);
  await namespace.untilReady('hgw/chat');
});

// The last test of the file: it changes the operator's image for everybody.
test('an upgrade of the operator rolls out its workloads one after another', { skip }, async () => {
  // Tenants that come first in every list, whose gateways never get ready or have no room for pods.
  const [unready, crowded] = [await stage.platform.namespace('a-unready'), await stage.platform.namespace('a-crowded')];
  await unready.apply(stage.documents().group, gatewayDocument());
  await unready.untilCondition('hgw/chat', 'Available', 'False/PodsNotReady');
  const hard = { pods: '0' };
  await crowded.apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none' }, spec: { hard } });
  await eventually(async () => (await crowded.get('resourcequota/none')).status?.hard?.pods === '0', patiently);
  await crowded.apply(stage.documents().group, gatewayDocument());
  await crowded.untilCondition('hgw/chat', 'Available', 'False/PodsRefused', patiently);

  const namespace = await stage.platform.namespace('upgrade');
  const names = ['a', 'b', 'c'];
  const gateway = (name: string): object =>
    gatewayDocument({ mode: 'ServerToClient', endpoints: [{ path: '/feed' }], drain: { periodSeconds: 1 } }, { name });
  await namespace.apply(stage.documents().group, ...names.map(gateway));
  await namespace.untilReady(...names.map((name) => `hgw/${name}`));
  const args = ['operator', '--max-concurrent-rollouts', '1'];
  const change = { spec: { template: { spec: { containers: [{ name: 'operator', image: nextImage, args }] } } } };
  const patch = ['patch', 'deployment/hydrogen-operator', '-p', JSON.stringify(change)];
  await stage.platform.cluster.kubectl(['-n', 'hydrogen-system', ...patch]);

  const most = await atOnce(namespace, names.length);
  assert.equal(most, 1);
  await namespace.untilReady(...names.map((name) => `hgw/${name}`));
  for (const name of names) await namespace.untilCondition(`hgw/${name}`, 'RollingOut', 'False/RolledOut');
});

/** The highest number of deployments that rolled out at the same time, until all have the new image. */
async function atOnce(namespace: Namespace, count: number): Promise<number> {
  let most = 0;
  await eventually(
    async () => {
      const { items } = await namespace.get('deployments');
      const upgraded = items.filter((one: Any) => imageOf(one) === nextImage);
      most = Math.max(most, upgraded.filter(isRollingOut).length);
      return upgraded.length === count && !upgraded.some(isRollingOut);
    },
    { timeoutMs: 90_000, everyMs: 50 },
  );
  return most;
}
