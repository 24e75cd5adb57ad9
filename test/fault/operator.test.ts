/** The operator on a real API server that dies, and over a connection that breaks. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { startTcpProxy } from '../kit/tcp-proxy.ts';
import type { Any } from '../operator/kit/api.ts';
import { asOperator, customPath, put, throughProxy } from '../operator/kit/cluster.ts';
import { callsOf, condition, gateway, group, startOperator } from '../operator/kit/operator.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 60_000 };
const deployments = '/apis/apps/v1/namespaces/shop/deployments';

const named = (name: string, spec: Any = {}): Any => ({ ...gateway(spec), metadata: { name, namespace: 'shop' } });

async function imageOf(cluster: TestApiServer, name = 'chat'): Promise<string> {
  return (await cluster.get(`${deployments}/${name}-gateway`)).spec.template.spec.containers[0].image;
}

test('waits for an API server that is killed during a burst, and creates everything once', {
  skip,
}, async () => {
  const names = Array.from({ length: 30 }, (_, index) => `g${index}`);
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  let isLost = false;
  const lease = { identity: 'a', namespace: 'hydrogen-system' };
  await using running = startOperator(kubeconfig, {
    lease,
    onLost: () => {
      isLost = true;
    },
  });
  await eventually(() => running.operator.isLeading);
  await Promise.all(names.map((name) => put(cluster, named(name))));
  await eventually(async () => (await cluster.get(deployments)).items.length >= 3);
  await cluster.stop();
  await cluster.start();
  await eventually(async () => (await cluster.get(deployments)).items.length === names.length, patience);
  const gateways = async (): Promise<Any[]> => (await cluster.get(`${customPath}/hydrogengateways`)).items;
  await eventually(
    async () => (await gateways()).every((one) => condition(one, 'Available')?.reason === 'PodsNotReady'),
    patience,
  );
  assert.equal(isLost, false);
  // A server that has just started forbids everything until it has read the roles.
  const errors = running.lines.filter(({ level }) => level === 'error');
  assert.deepEqual([...new Set(errors.map(({ status }) => status))].join(), errors.length > 0 ? '403' : '');
  assert.ok(running.lines.some(({ msg }) => msg === 'list or watch failed, will retry'));

  // A later change is noticed, and then nothing is requested.
  await put(cluster, named('g0', { template: { image: 'else:1' } }));
  await eventually(async () => (await imageOf(cluster, 'g0')) === 'else:1', patience);
});

test('watches that are reset lose no change and do not re-list', { skip }, async () => {
  await using cluster = await startCluster();
  await using proxy = await startTcpProxy(Number(new URL(cluster.url).port));
  const kubeconfig = await throughProxy(await asOperator(cluster), proxy);
  await put(cluster, group());
  await put(cluster, gateway());
  await using running = startOperator(kubeconfig);
  await eventually(async () => (await imageOf(cluster)) !== '');
  await eventually(() => running.operator.queueDepth === 0 && proxy.count >= 13);
  const answered = (verb: string): Promise<number> =>
    callsOf(running, { verb, resource: 'hydrogengateways', status: '200' });
  const [lists, watches] = [await answered('LIST'), await answered('WATCH')];
  proxy.refuse(true);
  proxy.cut();
  await put(cluster, gateway({ template: { image: 'else:2' } }));
  await holds(async () => (await imageOf(cluster)) !== 'else:2', 200);
  proxy.refuse(false);
  await eventually(async () => (await imageOf(cluster)) === 'else:2', patience);
  assert.deepEqual([await answered('LIST'), await answered('WATCH')], [lists, watches + 1]);
});

test('notices a dead connection by its silence', { skip }, async () => {
  await using cluster = await startCluster();
  await using proxy = await startTcpProxy(Number(new URL(cluster.url).port));
  const kubeconfig = await throughProxy(await asOperator(cluster), proxy);
  await put(cluster, group());
  await put(cluster, gateway());
  await using running = startOperator(kubeconfig, { timing: { inactivityMs: 2000 } });
  await eventually(async () => (await imageOf(cluster)) !== '');
  await eventually(() => running.operator.queueDepth === 0 && proxy.count >= 13);
  proxy.freeze();
  await put(cluster, gateway({ template: { image: 'else:3' } }));
  await holds(async () => (await imageOf(cluster)) !== 'else:3', 300);
  await eventually(async () => (await imageOf(cluster)) === 'else:3', patience);
});
