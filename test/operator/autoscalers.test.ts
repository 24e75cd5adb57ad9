/** The number of pods belongs to the autoscaler, if there is one, whether ours or somebody else's. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually, holds } from '../kit/eventually.ts';
import { type Any, startFakeApi } from './kit/api.ts';
import { gateway, group, startOperator } from './kit/operator.ts';

const autoscaler = (target: string): Any => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name: 'theirs', namespace: 'shop' },
  spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target }, maxReplicas: 9 },
});

test("somebody else's autoscaler of the deployment alone sets the number of pods", async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway({ replicas: 2 }));
  await using _ = startOperator(api.kubeconfig, { timing: { resyncMs: 20 } });
  const replicas = (): number | undefined => api.get('deployments', 'chat-gateway')?.spec.replicas;
  const scale = (count: number): void => {
    const deployment = structuredClone(api.get('deployments', 'chat-gateway'));
    deployment.spec.replicas = count;
    api.put('deployments', deployment);
  };
  await eventually(() => replicas() === 2);
  scale(5);
  await eventually(() => replicas() === 2);

  api.put('horizontalpodautoscalers', autoscaler('chat-gateway'));
  const applied = (): Any => api.writes().findLast(({ path }) => path.endsWith('/deployments/chat-gateway'))?.body;
  await eventually(() => applied()?.spec.template !== undefined && applied().spec.replicas === undefined);
  scale(5);
  await holds(() => replicas() === 5, 200);

  api.remove('horizontalpodautoscalers', 'theirs');
  await eventually(() => replicas() === 2);
});

test("somebody else's autoscaler of another deployment changes nothing", async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway({ replicas: 2 }));
  api.put('horizontalpodautoscalers', autoscaler('other'));
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => api.get('deployments', 'chat-gateway')?.spec.replicas === 2);
  assert.equal(api.get('horizontalpodautoscalers', 'theirs').metadata.ownerReferences, undefined);
});
