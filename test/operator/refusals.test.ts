/**
 * What a real API server refuses: it is reported with its cause, does not harm what runs, and takes effect as soon as the
 * document is corrected, or by itself once the cluster accepts it.
 */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { definitionsPath, startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import type { ApiAnswer } from '../kit/apiserver-client.ts';
import { eventually } from '../kit/eventually.ts';
import type { Any } from './kit/api.ts';
import { asOperator, customPath, put } from './kit/cluster.ts';
import { condition, gateway, group, startOperator, type TestOperator } from './kit/operator.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 60_000, everyMs: 50 };
const deployments = '/apis/apps/v1/namespaces/shop/deployments';
const mergePatch = { 'content-type': 'application/merge-patch+json' };

let cluster: TestApiServer;
let running: TestOperator;

before(async () => {
  if (skip !== false) return;
  cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  running = startOperator(kubeconfig);
});
after(async () => {
  await running?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const named = (name: string, spec: Any = {}): Any => ({ ...gateway(spec), metadata: { name, namespace: 'shop' } });
const read = (name: string): Promise<Any> => cluster.get(`${customPath}/hydrogengateways/${name}`);
const deployment = (name: string): Promise<Any> => cluster.get(`${deployments}/${name}-gateway`);
const configMap = (name: string): Promise<Any> => cluster.get(`/api/v1/namespaces/shop/configmaps/${name}-gateway`);
const imageIn = ({ spec }: Any): string => spec.template.spec.containers[0].image;
const refusalsOf = (name: string): Any[] =>
  running.lines.filter(({ msg, object }) => msg.includes('refuses a child') && object.endsWith(`/${name}`));

async function isInForce(name: string): Promise<boolean> {
  const object = await read(name);
  const accepted = condition(object, 'Accepted');
  return accepted?.status === 'True' && accepted.observedGeneration === object.metadata.generation;
}

/** Resolves once the current generation is reported as refused, with the reason. */
async function untilRefused(name: string, cause: RegExp, reason = 'ApplyRefused'): Promise<void> {
  await eventually(async () => {
    const object = await read(name);
    return condition(object, 'Accepted')?.observedGeneration === object.metadata.generation && !(await isInForce(name));
  }, patience);
  const object = await read(name);
  const summary = ['Accepted', 'Stalled', 'Ready'].map((type) => {
    const found = condition(object, type);
    return `${type}=${found.status} ${found.reason}`;
  });
  assert.deepEqual(summary, [`Accepted=False ${reason}`, `Stalled=True ${reason}`, `Ready=False ${reason}`]);
  for (const type of ['Accepted', 'Stalled', 'Ready']) assert.match(condition(object, type).message, cause);
}

const badLabel = { 'not a label': 'x' };
const mistakes: readonly [mistake: string, template: Any, cause: RegExp][] = [
  [
    'a field of the affinity is misspelt',
    { affinity: { nodeAfinity: {} } },
    /affinity\.nodeAfinity: field not declared/,
  ],
  [
    'a part of the affinity is of another type',
    { affinity: { podAffinity: 'x' } },
    /affinity\.podAffinity: expected map/,
  ],
  [
    'a limit is below its request',
    { resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } },
    /resources\.requests: .*must be less than or equal to cpu limit/,
  ],
  ['a resource has no such name', { resources: { requests: { gpu: '1' } } }, /requests\[gpu\]: Invalid value/],
  ['the name of a label is none', { labels: badLabel }, /spec\.template\.labels: Invalid value: "not a label"/],
  ['the name of an annotation is none', { annotations: badLabel }, /spec\.template\.annotations: Invalid value/],
  ['a node selector names no label', { nodeSelector: badLabel }, /nodeSelector: Invalid value: "not a label"/],
  ['a toleration contradicts itself', { tolerations: [{ operator: 'Exists', value: 'x' }] }, /tolerations\[0\]/],
  [
    'annotations are too long together',
    { annotations: Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`a${index}`, 'x'.repeat(8192)])) },
    /annotations: Too long/,
  ],
];

for (const [index, [mistake, template, cause]] of mistakes.entries()) {
  test(`${mistake}: is reported, the workload stays as it was, and the corrected document takes effect`, {
    skip,
  }, async () => {
    const name = `mistake-${index}`;
    await put(cluster, named(name));
    await eventually(() => isInForce(name), patience);
    const { metadata, spec } = await deployment(name);
    const configuration = (await configMap(name)).data;
    await put(cluster, named(name, { template, statsIntervalSeconds: 7 }));
    await untilRefused(name, cause);
    assert.deepEqual((await configMap(name)).data, configuration);
    const kept = await deployment(name);
    assert.deepEqual(
      [kept.metadata.uid, kept.metadata.generation, kept.spec],
      [metadata.uid, metadata.generation, spec],
    );

    await put(cluster, named(name, { template: { image: 'else:2' }, statsIntervalSeconds: 7 }));
    await eventually(async () => imageIn(await deployment(name)) === 'else:2', patience);
    await eventually(() => isInForce(name), patience);
    assert.equal(condition(await read(name), 'Stalled'), undefined);
    assert.notDeepEqual((await configMap(name)).data, configuration);
  });
}

/** The server's answer to a deployment with this image, in a dry run. */
async function judge(image: string): Promise<ApiAnswer> {
  const labels = { app: 'judged' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'one', image }] } };
  const metadata = { name: 'judged' };
  const spec = { selector: { matchLabels: labels }, template };
  const body = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec };
  return cluster.call('POST', `${deployments}?dryRun=All`, body);
}

interface Obstacle {
  /** From now on, the namespace refuses deployments with the image `else:*`. */
  raise(): Promise<void>;
  /** Not any more. */
  lift(): Promise<void>;
  readonly status: number;
  readonly cause: RegExp;
}

async function untilAnswered(status: number): Promise<void> {
  await eventually(async () => (await judge('else:1')).status === status, patience);
}

function policy(status: number, reason: 'Forbidden' | 'Invalid'): Obstacle {
  const root = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic';
  const of = (kind: string, spec: object): Any => {
    return { apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name: 'images' }, spec };
  };
  const rule = {
    apiGroups: ['apps'],
    apiVersions: ['v1'],
    operations: ['CREATE', 'UPDATE'],
    resources: ['deployments'],
  };
  const expression = "object.spec.template.spec.containers.all(one, !one.image.startsWith('else:'))";
  const message = 'images come from our registry';
  return {
    raise: async () => {
      const rules = { matchConstraints: { resourceRules: [rule] }, validations: [{ expression, message, reason }] };
      await cluster.apply(`${root}ies/images`, of('ValidatingAdmissionPolicy', rules));
      const binding = { policyName: 'images', validationActions: ['Deny'] };
      await cluster.apply(`${root}ybindings/images`, of('ValidatingAdmissionPolicyBinding', binding));
      await untilAnswered(status);
    },
    lift: async () => {
      await cluster.call('DELETE', `${root}ies/images`);
      await untilAnswered(201);
    },
    status,
    cause: /ValidatingAdmissionPolicy 'images' .*denied request: images come from our registry/,
  };
}

const obstacles: Readonly<Record<string, () => Obstacle>> = {
  'a policy': () => policy(422, 'Invalid'),
  'a policy that forbids': () => policy(403, 'Forbidden'),
};

for (const [title, obstacleOf] of Object.entries(obstacles)) {
  test(`${title} holds up a change, the old pods stay, and the change is applied by itself once the obstacle is gone`, {
    skip,
  }, async () => {
    const obstacle = obstacleOf();
    const name = title.replaceAll(' ', '-');
    await put(cluster, named(name));
    await eventually(() => isInForce(name), patience);
    const { metadata, spec } = await deployment(name);
    await obstacle.raise();
    await put(cluster, named(name, { template: { image: 'else:2' } }));
    await untilRefused(name, obstacle.cause);
    assert.equal(refusalsOf(name)[0]?.status, obstacle.status);
    const kept = await deployment(name);
    assert.deepEqual([kept.metadata.generation, kept.spec], [metadata.generation, spec]);
    await obstacle.lift();
    await eventually(async () => imageIn(await deployment(name)) === 'else:2', patience);
    await eventually(() => isInForce(name), patience);
  });
}

const quotaPath = '/api/v1/namespaces/shop/resourcequotas/small';

/** Sets the quota of deployments, and acts for the controller, without which nobody counts existing ones. */
async function allow(more: number): Promise<void> {
  const used = { 'count/deployments.apps': `${(await cluster.get(deployments)).items.length}` };
  const hard = { 'count/deployments.apps': `${Number(used['count/deployments.apps']) + more}` };
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'small' }, spec: { hard } };
  await cluster.apply(quotaPath, quota);
  assert.equal(
    (await cluster.call('PATCH', `${quotaPath}/status`, { status: { hard, used } }, mergePatch)).status,
    200,
  );
  await untilAnswered(more > 0 ? 201 : 403);
}

test('a quota keeps a gateway from getting pods, which appear by themselves once it is raised', {
  skip,
}, async (context) => {
  await allow(0);
  const startedMs = performance.now();
  await put(cluster, named('waits'));
  await untilRefused('waits', /exceeded quota: small, requested: count\/deployments\.apps=1/);
  assert.equal(condition(await read('waits'), 'Available').reason, 'NotCreated');
  await eventually(() => refusalsOf('waits').length >= 5, patience);
  await allow(1);
  const raisedMs = performance.now();
  await eventually(() => isInForce('waits'), patience);
  const [refused, waited] = [raisedMs - startedMs, performance.now() - raisedMs].map((ms) => (ms / 1000).toFixed(1));
  context.diagnostic(`refused for ${refused} s, in force ${waited} s after the quota was raised`);
});

test('touching the object retries at once', { skip }, async () => {
  await allow(0);
  await put(cluster, named('touched'));
  // The eighth attempt comes 13 s after the seventh.
  await eventually(() => refusalsOf('touched').length >= 7, patience);
  await allow(1);
  const touch = { metadata: { annotations: { touched: 'yes' } } };
  await cluster.call('PATCH', `${customPath}/hydrogengateways/touched`, touch, mergePatch);
  await eventually(() => isInForce('touched'), { timeoutMs: 8000 });
  assert.equal(refusalsOf('touched').length, 7);
  await cluster.call('DELETE', quotaPath);
  await untilAnswered(201);
});

test('a route in a cluster without the Gateway API is reported as such, and is created once the cluster has it', {
  skip,
}, async () => {
  await put(cluster, named('routed', { httpRoute: { parentRefs: [{ name: 'outside' }] } }));
  await untilRefused(
    'routed',
    /no HTTPRoute; install the Gateway API .*httproutes\/routed-gateway: 404/,
    'KindMissing',
  );
  const spec = {
    group: 'gateway.networking.k8s.io',
    names: { kind: 'HTTPRoute', plural: 'httproutes', singular: 'httproute' },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  };
  const annotations = { 'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api/pull/2538' };
  const metadata = { name: 'httproutes.gateway.networking.k8s.io', annotations };
  const definition = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata, spec };
  assert.equal((await cluster.apply(`${definitionsPath}/${metadata.name}`, definition)).status, 201);
  await eventually(() => isInForce('routed'), patience);
  const route = await cluster.get('/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/routed-gateway');
  assert.equal(route.spec.parentRefs[0].name, 'outside');
});
