/** Managed fields of a real API server: which changes by others a starting operator reverts, and which it leaves alone. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { appliedDigest } from '../../operator/kube/objects.ts';
import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually } from '../kit/eventually.ts';
import type { Any } from './kit/api.ts';
import { asOperator, put } from './kit/cluster.ts';
import { gateway, group, startOperator } from './kit/operator.ts';

const skip = await apiServerOrSkip();

const paths = {
  deployment: '/apis/apps/v1/namespaces/shop/deployments/chat-gateway',
  service: '/api/v1/namespaces/shop/services/chat-gateway',
  configMap: '/api/v1/namespaces/shop/configmaps/chat-gateway',
  autoscaler: '/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/chat-gateway',
  ingress: '/apis/networking.k8s.io/v1/namespaces/shop/ingresses/chat-gateway',
};
const mergePatch = { 'content-type': 'application/strategic-merge-patch+json' };

/** A gateway whose document spells quantities in ways that the server rewrites. */
const documents = [
  group(),
  gateway({
    autoscaling: { minReplicas: 2, maxReplicas: 5 },
    ingress: { hosts: ['chat.example.com'] },
    template: {
      resources: { requests: { cpu: '0.50', memory: '1024Mi' }, limits: { memory: '1.5Gi' } },
      env: [{ name: 'TZ', value: 'UTC' }],
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    },
  }),
];

/** The children that an operator writes until it has checked everything. */
async function writtenByNext(kubeconfig: string): Promise<string[]> {
  await using running = startOperator(kubeconfig);
  const looked = (): Set<string> =>
    new Set(running.lines.filter(({ msg }) => msg === 'reconciled').map(({ object }) => object));
  await eventually(() => looked().size === documents.length && running.operator.queueDepth === 0);
  return running.lines.filter(({ msg }) => msg === 'children written').flatMap(({ written }) => written);
}

async function patch(cluster: TestApiServer, path: string, body: Any): Promise<void> {
  const answer = await cluster.call('PATCH', path, body, mergePatch);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

test('an operator that starts writes what differs according to the managed fields, and nothing else', {
  skip,
}, async (t) => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  for (const document of documents) await put(cluster, document);
  assert.equal((await writtenByNext(kubeconfig)).length, 8);

  await t.test('nothing, where nothing differs, however quantities are spelled', async () => {
    assert.deepEqual(await writtenByNext(kubeconfig), []);
  });

  await t.test('not what others add: labels, annotations, sidecars, and the scale set by an autoscaler', async () => {
    const sidecar = { spec: { template: { spec: { containers: [{ name: 'sidecar', image: 'other' }] } } } };
    await patch(cluster, paths.deployment, sidecar);
    await patch(cluster, `${paths.deployment}/scale`, { spec: { replicas: 4 } });
    await patch(cluster, paths.service, { metadata: { labels: { theirs: 'yes' }, annotations: { theirs: 'yes' } } });
    assert.deepEqual(await writtenByNext(kubeconfig), []);
    assert.equal((await cluster.get(paths.deployment)).spec.template.spec.containers.length, 2);
  });

  const edits: readonly [string, string, string, Any | ((live: Any) => Any)][] = [
    ['an edited image', 'Deployment/chat-gateway', paths.deployment, containers({ image: 'else:1' })],
    [
      'an edited variable',
      'Deployment/chat-gateway',
      paths.deployment,
      containers({ env: [{ name: 'TZ', value: 'X' }] }),
    ],
    [
      'a removed variable',
      'Deployment/chat-gateway',
      paths.deployment,
      containers({ env: [{ name: 'TZ', $patch: 'delete' }] }),
    ],
    ['an edited port', 'Service/chat-gateway', paths.service, { spec: { ports: [{ port: 80, targetPort: 1 }] } }],
    ['a label that was taken away', 'Service/chat-gateway', paths.service, label('app.kubernetes.io/part-of', null)],
    ['edited data', 'ConfigMap/chat-gateway', paths.configMap, { data: { 'hydrogen.yaml': 'x' } }],
    ['an edited autoscaler', 'HorizontalPodAutoscaler/chat-gateway', paths.autoscaler, { spec: { maxReplicas: 9 } }],
    [
      'a removed digest',
      'Service/chat-gateway',
      paths.service,
      { metadata: { annotations: { [appliedDigest]: null } } },
    ],
    [
      'an edited owner',
      'ConfigMap/chat-gateway',
      paths.configMap,
      ({ metadata }: Any) => {
        const [{ uid }] = metadata.ownerReferences;
        return { metadata: { ownerReferences: [{ uid, blockOwnerDeletion: false }] } };
      },
    ],
    ['an edited host', 'Ingress/chat-gateway', paths.ingress, { spec: { rules: [{ host: 'else.example.com' }] } }],
  ];
  for (const [title, object, path, edit] of edits) {
    await t.test(`${title}, and only that object`, async () => {
      const live = await cluster.get(path);
      const before = contentOf(live);
      await patch(cluster, path, typeof edit === 'function' ? edit(live) : edit);
      assert.notDeepEqual(contentOf(await cluster.get(path)), before);
      assert.deepEqual(await writtenByNext(kubeconfig), [object]);
      assert.deepEqual(contentOf(await cluster.get(path)), before);
      assert.deepEqual(await writtenByNext(kubeconfig), []);
    });
  }

  await t.test('what another manager has applied by force', async () => {
    const { apiVersion, kind } = await cluster.get(paths.service);
    const body = { apiVersion, kind, metadata: { name: 'chat-gateway' }, spec: { type: 'NodePort' } };
    assert.equal((await cluster.apply(paths.service, body, 'another')).status, 200);
    assert.deepEqual(await writtenByNext(kubeconfig), ['Service/chat-gateway']);
    assert.equal((await cluster.get(paths.service)).spec.type, 'ClusterIP');
  });

  await t.test('an object whose managed fields were erased', async () => {
    const wipe = { metadata: { managedFields: [{}] } };
    const headers = { 'content-type': 'application/merge-patch+json' };
    assert.equal((await cluster.call('PATCH', paths.configMap, wipe, headers)).status, 200);
    assert.deepEqual(await writtenByNext(kubeconfig), ['ConfigMap/chat-gateway']);
    assert.deepEqual(await writtenByNext(kubeconfig), []);
  });

  await t.test('what the document has changed since', async () => {
    await put(cluster, gateway({ autoscaling: { minReplicas: 2, maxReplicas: 7 } }));
    const written = await writtenByNext(kubeconfig);
    assert.ok(written.includes('HorizontalPodAutoscaler/chat-gateway'), written.join());
    assert.equal((await cluster.get(paths.autoscaler)).spec.maxReplicas, 7);
    assert.deepEqual(await writtenByNext(kubeconfig), []);
  });
});

function containers(more: Any): Any {
  return { spec: { template: { spec: { containers: [{ name: 'gateway', ...more }] } } } };
}

function label(name: string, value: string | null): Any {
  return { metadata: { labels: { [name]: value } } };
}

/** The object without versions and managed fields. */
function contentOf({ metadata, spec, data }: Any): Any {
  const { labels, annotations, ownerReferences } = metadata;
  delete annotations?.['deployment.kubernetes.io/revision'];
  return { labels, annotations, ownerReferences, spec, data };
}
