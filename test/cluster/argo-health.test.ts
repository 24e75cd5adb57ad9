/** The health checks in an `argocd-cm` that belongs to somebody else, against a real kube-apiserver. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { argoHealthData, HydrogenArgoHealth } from '../../infra/index.ts';
import { synth } from '../infra/kit.ts';
import { apiServerOrSkip, startApiServer } from '../kit/apiserver.ts';

const skip = await apiServerOrSkip();

const namespace = '/api/v1/namespaces/argocd';
const path = `${namespace}/configmaps/argocd-cm`;
const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'argocd-cm' } };
const own = {
  'accounts.alice': 'login',
  'resource.customizations.health.batch_CronJob': 'return { status = "Healthy" }',
};

test('an existing argocd-cm keeps its entries, causes no conflict, and loses only the checks', {
  skip,
}, async () => {
  await using cluster = await startApiServer();
  const apply = async (body: unknown, manager: string, to = path): Promise<Record<string, string>> => {
    const answer = await cluster.call('PATCH', `${to}?fieldManager=${manager}`, body, {
      'content-type': 'application/apply-patch+yaml',
    });
    assert.ok(answer.status < 300, JSON.stringify(answer.body));
    return (answer.body as { data: Record<string, string> }).data;
  };
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'argocd' } }, 'admin', namespace);
  await apply({ ...object, data: own }, 'kubectl');
  const [checks] = synth((chart) => new HydrogenArgoHealth(chart, 'health'));
  assert.deepEqual(await apply(checks, 'hydrogen-health'), { ...own, ...argoHealthData() });
  assert.deepEqual(await apply({ ...object, data: own }, 'kubectl'), { ...own, ...argoHealthData() });
  assert.deepEqual(await apply(object, 'hydrogen-health'), own);
});
