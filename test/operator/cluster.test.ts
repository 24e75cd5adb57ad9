/** The operator with a real API server: exactly the permissions in dist/operator.yaml, and real server-side apply. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Reflector } from '../../operator/cache/reflector.ts';
import { transformCustom } from '../../operator/cache/transform.ts';
import { createKube } from '../../operator/kube/client.ts';
import { customTypes } from '../../operator/kube/objects.ts';
import { createStatusWriter } from '../../operator/status/writer.ts';
import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip } from '../kit/apiserver.ts';
import { eventually, holds } from '../kit/eventually.ts';
import type { Any } from './kit/api.ts';
import { asOperator, customPath as custom, put } from './kit/cluster.ts';
import { condition, gateway, group, processor, startOperator } from './kit/operator.ts';

const skip = await apiServerOrSkip();

const deploymentPath = '/apis/apps/v1/namespaces/shop/deployments/chat-gateway';
const gatewayPath = `${custom}/hydrogengateways/chat`;

test('with exactly its permissions it creates every child, leads, records events, and writes nothing twice', {
  skip,
}, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  await put(cluster, gateway({ autoscaling: { maxReplicas: 3 }, ingress: { hosts: ['chat.example.com'] } }));
  await put(cluster, processor());
  const bad = { ...gateway({ groupRef: { name: 'none' } }), metadata: { name: 'other', namespace: 'shop' } };
  await put(cluster, bad);
  const timing = { resyncMs: 50 };
  await using running = startOperator(kubeconfig, {
    timing,
    lease: { identity: 'a', namespace: 'hydrogen-system' },
  });

  await eventually(async () => condition(await cluster.get(gatewayPath), 'Available')?.reason === 'PodsNotReady');
  const processorPath = `${custom}/hydrogenmessageprocessors/chat`;
  await eventually(async () => condition(await cluster.get(processorPath), 'Available')?.reason === 'PodsNotReady');
  await eventually(
    async () => condition(await cluster.get(`${custom}/hydrogengateways/other`), 'Ready')?.reason === 'GroupNotFound',
  );
  const lists = [
    '/api/v1/namespaces/shop/configmaps',
    '/api/v1/namespaces/shop/services',
    '/apis/apps/v1/namespaces/shop/deployments',
    '/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers',
    '/apis/policy/v1/namespaces/shop/poddisruptionbudgets',
    '/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies',
    '/apis/networking.k8s.io/v1/namespaces/shop/ingresses',
  ];
  const counts = await Promise.all(lists.map(async (path) => (await cluster.get(path)).items.length));
  assert.deepEqual(counts, [2, 3, 2, 1, 2, 2, 1]);
  const lease = await cluster.get('/apis/coordination.k8s.io/v1/namespaces/hydrogen-system/leases/hydrogen-operator');
  assert.equal(lease.spec.holderIdentity, 'a');

  await eventually(
    async () => condition(await cluster.get(gatewayPath), 'GroupReady')?.message.includes('cannot be reached') === true,
  );
  const versions = async (): Promise<string> => {
    const items = (await Promise.all(lists.map((path) => cluster.get(path)))).flatMap((list) => list.items);
    const all = [...items, await cluster.get(gatewayPath), await cluster.get(`${custom}/hydrogengroups/chat`)];
    return all.map(({ metadata }: Any) => metadata.resourceVersion).join();
  };
  const before = await versions();
  await holds(async () => (await versions()) === before, 500);
  const refused = running.lines.filter(({ level }) => level === 'warn' || level === 'error');
  assert.deepEqual(
    refused.filter(({ msg }) => msg !== 'bus event'),
    [],
  );

  // Stuck for a reason that the definitions cannot refuse: somebody else's service.
  const foreign = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'late-gateway' },
    spec: { ports: [{ port: 80 }] },
  };
  await cluster.apply('/api/v1/namespaces/shop/services/late-gateway', foreign);
  await put(cluster, { ...gateway(), metadata: { name: 'late', namespace: 'shop' } });
  await eventually(async () => {
    const { items } = await cluster.get('/apis/events.k8s.io/v1/namespaces/shop/events');
    return items.some(({ reason, regarding }: Any) => reason === 'NameConflict' && regarding.name === 'late');
  });
  assert.equal(
    (await cluster.get('/api/v1/namespaces/shop/services/late-gateway')).metadata.ownerReferences,
    undefined,
  );
});

test('with exactly its permissions it waits for a secret, notices its arrival, and never sees its content', {
  skip,
}, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  const headers = [{ name: 'Authorization', valueFrom: { secretKeyRef: { name: 'auth', key: 'token' } } }];
  await put(cluster, gateway({ authorizer: { http: { url: 'http://auth/', headers } } }));
  await using running = startOperator(kubeconfig);
  await eventually(async () => condition(await cluster.get(gatewayPath), 'Accepted')?.reason === 'SecretNotFound');
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'auth' }, stringData: { token: 'open-sesame' } };
  await cluster.apply('/api/v1/namespaces/shop/secrets/auth', secret, 'user');
  await eventually(async () => condition(await cluster.get(gatewayPath), 'Accepted')?.status === 'True');
  await cluster.get(deploymentPath);
  assert.doesNotMatch(JSON.stringify(running.lines), /open-sesame/);
});

test('without permission to read secrets it says so once, and runs everything', { skip }, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster, { readSecrets: false });
  await put(cluster, group());
  const headers = [{ name: 'Authorization', valueFrom: { secretKeyRef: { name: 'auth', key: 'token' } } }];
  await put(cluster, gateway({ authorizer: { http: { url: 'http://auth/', headers } } }));
  await using running = startOperator(kubeconfig);
  await eventually(() => cluster.get(deploymentPath));
  const hidden = running.lines.filter(({ msg }) => msg.startsWith('no permission to watch or read secrets'));
  assert.equal(hidden.length, 1);
  assert.match(hidden[0].err.message, /cannot list resource "secrets"/);
});

test('limited to one namespace it needs no permission outside it', { skip }, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster, { watchNamespace: 'shop' });
  await put(cluster, group());
  await put(cluster, gateway());
  const lease = { identity: 'a', namespace: 'hydrogen-system' };
  await using running = startOperator(kubeconfig, { namespace: 'shop', lease });
  await eventually(async () => condition(await cluster.get(gatewayPath), 'Available')?.reason === 'PodsNotReady');
  const refused = running.lines.filter(({ level }) => level === 'warn' || level === 'error');
  assert.deepEqual(
    refused.filter(({ msg }) => msg !== 'bus event'),
    [],
  );
});

test('the number of pods survives the hand-over to an autoscaler, and kubectl scale works without one', {
  skip,
}, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  await put(cluster, gateway({ replicas: 2 }));
  await using _ = startOperator(kubeconfig);
  const replicas = async (): Promise<number> => (await cluster.get(deploymentPath)).spec.replicas;
  await eventually(async () => (await replicas()) === 2);

  const scaled = await cluster.call(
    'PATCH',
    `${gatewayPath}/scale`,
    { spec: { replicas: 6 } },
    {
      'content-type': 'application/merge-patch+json',
    },
  );
  assert.equal(scaled.status, 200);
  await eventually(async () => (await replicas()) === 6);

  await put(cluster, gateway({ autoscaling: { minReplicas: 2, maxReplicas: 9 } }));
  await eventually(() => cluster.get('/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/chat-gateway'));
  await eventually(async () => !ownsReplicas(await cluster.get(deploymentPath)));
  assert.equal(await replicas(), 6);

  await cluster.call(
    'PATCH',
    `${deploymentPath}/scale`,
    { spec: { replicas: 4 } },
    {
      'content-type': 'application/merge-patch+json',
    },
  );
  await put(cluster, gateway({ autoscaling: { minReplicas: 2, maxReplicas: 9 }, template: { image: 'else:2' } }));
  await eventually(async () => (await cluster.get(deploymentPath)).spec.template.spec.containers[0].image === 'else:2');
  assert.equal(await replicas(), 4);
});

test('a status is applied beside the conditions of others, and a watch shows it', { skip }, async () => {
  await using cluster = await startCluster();
  const inDefault = { ...gateway(), metadata: { name: 'chat', namespace: 'default' } };
  const path = '/apis/hydrogen.dev/v1alpha1/namespaces/default/hydrogengateways/chat';
  await cluster.apply(path, inDefault, 'user');
  const foreign = {
    type: 'Theirs',
    status: 'True',
    reason: 'Because',
    message: 'theirs',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  const { apiVersion, kind } = inDefault;
  const theirs = {
    apiVersion,
    kind,
    metadata: { name: 'chat', namespace: 'default' },
    status: { conditions: [foreign] },
  };
  assert.equal((await cluster.apply(`${path}/status`, theirs, 'other')).status, 200);

  const kube = createKube({ kubeconfig: cluster.kubeconfig });
  const reflector = new Reflector(kube, {
    type: customTypes.HydrogenGateway,
    transform: transformCustom,
    onChange: () => undefined,
    onFailure: () => undefined,
    onBug: () => undefined,
  });
  reflector.start();
  try {
    await reflector.synced;
    const seen = (): Any => reflector.objects.get('HydrogenGateway/default/chat');
    const facts = { kind: 'HydrogenGateway', name: 'chat', generation: 1, hasWorkload: true } as const;
    const writer = createStatusWriter({ kube, onWritten: (object) => reflector.learn(transformCustom(object)) });
    await writer.write(seen(), { ...facts, issues: [{ path: 'spec', message: 'is bad' }] }, { replicas: 0 });
    await eventually(() => condition(seen(), 'Stalled')?.reason === 'InvalidSpec');
    assert.equal(condition(seen(), 'Theirs').message, 'theirs');
    await writer.write(seen(), facts, { replicas: 0 });
    await eventually(() => condition(seen(), 'Stalled') === undefined);
    assert.equal(condition(seen(), 'Theirs').message, 'theirs');
    const { resourceVersion } = seen().metadata;
    await writer.write(seen(), facts, { replicas: 0 });
    assert.equal((await cluster.get(path)).metadata.resourceVersion, resourceVersion);
  } finally {
    await reflector.stop();
    kube.close();
  }
});

test('a finalizer that the creator of the object owns too is removed nevertheless', { skip }, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  const restored = processor();
  restored.metadata.finalizers = ['hydrogen.dev/consumers', 'example.com/theirs'];
  const created = await cluster.call('POST', `${custom}/hydrogenmessageprocessors`, restored);
  assert.equal(created.status, 201);
  await using _ = startOperator(kubeconfig);
  const path = `${custom}/hydrogenmessageprocessors/chat`;
  await cluster.call('DELETE', path);
  await eventually(async () => (await cluster.get(path)).metadata.finalizers.join() === 'example.com/theirs');
});

/** True while the operator's own apply names the number of pods. */
function ownsReplicas({ metadata }: Any): boolean {
  return metadata.managedFields.some(
    ({ manager, operation, fieldsV1 }: Any) =>
      manager === 'hydrogen-operator' && operation === 'Apply' && 'f:replicas' in (fieldsV1['f:spec'] ?? {}),
  );
}
