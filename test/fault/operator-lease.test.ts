/** Two operators on a real API server, one of which is suspended and resumes. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { type HydrogenProcess, startHydrogen } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';
import type { Any } from '../operator/kit/api.ts';
import { asOperator, customPath, put } from '../operator/kit/cluster.ts';
import { gateway, group } from '../operator/kit/operator.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 60_000, everyMs: 50 };
const leasePath = '/apis/coordination.k8s.io/v1/namespaces/hydrogen-system/leases/hydrogen-operator';
const kinds = [
  '/api/v1/namespaces/shop/configmaps',
  '/api/v1/namespaces/shop/services',
  '/apis/apps/v1/namespaces/shop/deployments',
  '/apis/policy/v1/namespaces/shop/poddisruptionbudgets',
  '/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies',
  `${customPath}/hydrogengroups`,
  `${customPath}/hydrogengateways`,
];

async function startOperatorProcess(kubeconfig: string, image: string): Promise<HydrogenProcess> {
  const port = await freePortBase();
  const args = ['operator', '--kubeconfig', kubeconfig, '--image', image, '--probe-port', `${port}`];
  return startHydrogen([...args, '--host', '127.0.0.1']);
}

async function versions(cluster: TestApiServer): Promise<string> {
  const lists = await Promise.all(kinds.map((path) => cluster.get(path)));
  return lists.flatMap(({ items }) => items.map(({ metadata }: Any) => metadata.resourceVersion)).join();
}

test('an operator that was suspended while it lost the lease writes nothing more and exits', { skip }, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  await put(cluster, gateway());
  const holder = async (): Promise<string> => (await cluster.get(leasePath)).spec.holderIdentity;
  const image = async (name: string): Promise<string> =>
    (await cluster.get(`/apis/apps/v1/namespaces/shop/deployments/${name}-gateway`)).spec.template.spec.containers[0]
      .image;

  await using first = await startOperatorProcess(kubeconfig, 'first:1');
  await eventually(async () => (await image('chat')) === 'first:1', patience);
  const before = await holder();
  await using second = await startOperatorProcess(kubeconfig, 'second:1');
  await eventually(() => second.output().includes('another operator leads'), patience);

  first.kill('SIGSTOP');
  // It is suspended with work in its queue, which it must leave to the other one.
  await put(cluster, { ...gateway(), metadata: { name: 'late', namespace: 'shop' } });
  await eventually(async () => (await holder()) !== before, patience);
  await eventually(async () => (await image('late')) === 'second:1', patience);
  await eventually(async () => (await image('chat')) === 'second:1', patience);
  let last = '';
  await eventually(
    async () => {
      const previous = last;
      last = await versions(cluster);
      return last === previous;
    },
    { timeoutMs: 30_000, everyMs: 1000 },
  );

  const owner = await holder();
  first.kill('SIGCONT');
  assert.equal(await first.exited, 1);
  assert.ok(first.lines().some(({ msg }) => String(msg).startsWith('lease lost')));
  await holds(async () => (await versions(cluster)) === last && (await holder()) === owner, 1000);
});

test('an operator that stops releases its lease instead of letting it expire', { skip }, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  await using first = await startOperatorProcess(kubeconfig, 'same:1');
  await eventually(() => first.output().includes('leading: this operator acts'), patience);
  await using second = await startOperatorProcess(kubeconfig, 'same:1');
  await eventually(() => second.output().includes('another operator leads'), patience);
  const startedMs = Date.now();
  first.kill('SIGTERM');
  assert.equal(await first.exited, 0);
  await eventually(() => second.output().includes('leading: this operator acts'), patience);
  // The lease lasts 15 s and is checked every 2 s.
  assert.ok(Date.now() - startedMs < 10_000, `${Date.now() - startedMs} ms`);
});
