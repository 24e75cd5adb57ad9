/** Many gateways at once before a real API server, an operator that is started again, and what was changed while it was away. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually } from '../kit/eventually.ts';
import { asOperator, customPath, put } from '../operator/cluster-kit.ts';
import type { Any } from '../operator/fake-api.ts';
import { condition, gateway, group, startOperator, type TestOperator } from '../operator/kit.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 120_000, everyMs: 100 };
const count = 200;
const deployments = '/apis/apps/v1/namespaces/shop/deployments';

async function requests({ metrics }: TestOperator, ...verbs: string[]): Promise<number> {
  const { values = [] } = (await metrics.registry.getSingleMetric('hydrogen_operator_api_calls_total')?.get()) ?? {};
  const counted = values.filter(({ labels }) => verbs.includes(String(labels.verb)) && labels.resource !== 'leases');
  return counted.reduce((sum, { value }) => sum + value, 0);
}

/** Resolves when every gateway has been looked after this often by an operator that has nothing left to do. */
async function lookedAfter({ lines, operator }: TestOperator): Promise<void> {
  const seen = (): Set<string> =>
    new Set(lines.filter(({ msg }) => msg === 'object looked after').map(({ object }) => object));
  await eventually(() => seen().size >= count + 1 && operator.queueDepth === 0, patience);
}

async function areInForce(cluster: TestApiServer): Promise<boolean> {
  const { items } = await cluster.get(`${customPath}/hydrogengateways`);
  return items.length === count && items.every((one: Any) => condition(one, 'Available')?.reason === 'PodsNotReady');
}

test('many gateways come to be at once, a restart writes nothing, and drift of meanwhile is set back', {
  skip,
}, async (context) => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  {
    await using running = startOperator(kubeconfig, { timing: { collectMs: 100 } });
    await eventually(() => running.operator.isReady);
    const startedMs = performance.now();
    const names = Array.from({ length: count }, (_, index) => `g${index}`);
    await Promise.all(names.map((name) => put(cluster, { ...gateway(), metadata: { name, namespace: 'shop' } })));
    await eventually(() => areInForce(cluster), patience);
    const seconds = (performance.now() - startedMs) / 1000;
    const [writes, reads] = [await requests(running, 'PATCH', 'POST'), await requests(running, 'GET')];
    context.diagnostic(`${count} gateways in force after ${seconds.toFixed(1)} s`);
    context.diagnostic(`requests each: ${(writes / count).toFixed(1)} writes, ${(reads / count).toFixed(1)} reads`);
    await eventually(async () => {
      const { message } = condition(await cluster.get(`${customPath}/hydrogengateways/g${count - 1}`), 'GroupReady');
      return message.includes('cannot be reached') && running.operator.queueDepth === 0;
    }, patience);
  }
  {
    await using again = startOperator(kubeconfig);
    await lookedAfter(again);
    const writes = await requests(again, 'PATCH', 'POST', 'DELETE', 'PUT');
    context.diagnostic(`${writes} writes of an operator that was started again`);
    assert.equal(writes, 0);
  }

  const merge = { 'content-type': 'application/merge-patch+json' };
  await cluster.call('PATCH', `${deployments}/g7-gateway`, { spec: { revisionHistoryLimit: 9 } }, merge);
  await cluster.call('DELETE', '/api/v1/namespaces/shop/services/g8-gateway');
  await cluster.call('PATCH', `${deployments}/g9-gateway`, { metadata: { labels: { theirs: 'yes' } } }, merge);
  await using later = startOperator(kubeconfig);
  await eventually(
    async () => (await cluster.get(`${deployments}/g7-gateway`)).spec.revisionHistoryLimit === 3,
    patience,
  );
  await eventually(() => cluster.get('/api/v1/namespaces/shop/services/g8-gateway'), patience);
  await lookedAfter(later);
  assert.equal((await cluster.get(`${deployments}/g9-gateway`)).metadata.labels.theirs, 'yes');
});
