/** An operator whose definitions are missing or deleted: it is not ready, says so, and leads nobody. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { customResourceDefinitions } from '../../crds/manifest.ts';
import { allowDeletion } from '../../infra/definition-guard.ts';
import { definitionsPath, startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, startApiServer, type TestApiServer } from '../kit/apiserver.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { asOperator, customPath, put } from './kit/cluster.ts';
import { condition, gateway, group, startOperator, type TestOperator } from './kit/operator.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 40_000, everyMs: 50 };
const lease = { identity: 'a', namespace: 'hydrogen-system' };
const leasePath = '/apis/coordination.k8s.io/v1/namespaces/hydrogen-system/leases/hydrogen-operator';
const gateways = 'hydrogengateways';
const fast = { lease: { durationMs: 2000, renewDeadlineMs: 1500, retryMs: 100 } };

/** The holder of the lease; undefined: nobody. */
async function holder(cluster: TestApiServer): Promise<string | undefined> {
  const { status, body } = await cluster.call('GET', leasePath);
  return status === 200 ? body.spec.holderIdentity || undefined : undefined;
}

async function define(cluster: TestApiServer): Promise<void> {
  for (const definition of customResourceDefinitions()) {
    await cluster.apply(`${definitionsPath}/${definition.metadata.name}`, definition);
  }
}

async function works(cluster: TestApiServer): Promise<void> {
  await put(cluster, group());
  await put(cluster, gateway());
  await eventually(
    async () => condition(await cluster.get(`${customPath}/${gateways}/chat`), 'Available') !== undefined,
    patience,
  );
}

const says = ({ lines }: TestOperator, start: string): boolean => lines.some(({ msg }) => msg.startsWith(start));

test('it is not ready and takes no lease without definitions, and works once they are installed', {
  skip,
}, async () => {
  await using cluster = await startApiServer();
  const kubeconfig = await asOperator(cluster);
  await using running = startOperator(kubeconfig, { lease, timing: fast });
  await eventually(() => running.operator.notReadyReason?.includes(`does not know ${gateways}, `), patience);
  assert.match(running.operator.notReadyReason ?? '', /kubectl apply --server-side -f dist\/crds\.yaml$/);
  assert.ok(says(running, 'the definitions of custom resources are missing'));
  await holds(async () => (await holder(cluster)) === undefined && !running.operator.isLeading, 500);
  await define(cluster);
  await eventually(() => running.operator.isLeading && running.operator.notReadyReason === undefined, patience);
  await works(cluster);
});

test('it gives up the lease when a definition is deleted, and takes it again once it is back', { skip }, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await using running = startOperator(kubeconfig, { lease, timing: fast });
  await eventually(async () => (await holder(cluster)) === 'a', patience);
  await eventually(() => running.operator.notReadyReason === undefined, patience);
  const path = `${definitionsPath}/${gateways}.hydrogen.dev`;
  const mergePatch = { 'content-type': 'application/merge-patch+json' };
  await cluster.call('PATCH', path, { metadata: { annotations: { [allowDeletion]: 'true' } } }, mergePatch);
  await cluster.call('DELETE', path);
  await eventually(() => running.operator.notReadyReason?.includes(`does not know ${gateways};`), patience);
  await eventually(async () => (await holder(cluster)) === undefined && !running.operator.isLeading, patience);
  await define(cluster);
  await eventually(async () => (await holder(cluster)) === 'a' && running.operator.isLeading, patience);
  assert.ok(says(running, 'the definitions of all custom resources are there'));
  await works(cluster);
});
