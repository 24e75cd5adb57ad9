/** Writes that keep failing on a real API server: the status says so within ten seconds, and recovers by itself. */

import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import test, { after, before } from 'node:test';

import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually } from '../kit/eventually.ts';
import type { Any } from './kit/api.ts';
import { asOperator, customPath, put } from './kit/cluster.ts';
import { condition, gateway, group, processor, startOperator, type TestOperator } from './kit/operator.ts';

const skip = await apiServerOrSkip();
/** What users are promised. */
const promise = { timeoutMs: 10_000, everyMs: 50 };
const patience = { timeoutMs: 60_000, everyMs: 50 };
const webhooksPath = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';

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

interface Webhook extends AsyncDisposable {
  readonly name: string;
}

/** An admission webhook for these resources, behind a port at which nobody answers. */
async function webhook(
  name: string,
  apiGroup: string,
  resources: string[],
  port: number,
  operations = ['*'],
): Promise<Webhook> {
  const rule = { apiGroups: [apiGroup], apiVersions: ['*'], operations, resources };
  const one = {
    name: `${name}.test.dev`,
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    timeoutSeconds: 30,
    failurePolicy: 'Fail',
    clientConfig: { url: `https://127.0.0.1:${port}/` },
    rules: [rule],
  };
  const body = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name },
    webhooks: [one],
  };
  const { status } = await cluster.apply(`${webhooksPath}/${name}`, body);
  assert.equal(status, 201);
  return {
    name: one.name,
    [Symbol.asyncDispose]: async () => void (await cluster.call('DELETE', `${webhooksPath}/${name}`)),
  };
}

/** Resolves once the server has taken over the webhook: it refuses a dry run of such an object. */
async function untilRefusing(): Promise<void> {
  await eventually(async () => {
    const metadata = { name: 'judged' };
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
    const answer = await cluster.call('POST', '/api/v1/namespaces/shop/configmaps?dryRun=All', body);
    return answer.status === 500 || answer.status === 400;
  }, patience);
}

async function untilAccepted(name: string): Promise<void> {
  await eventually(async () => {
    const object = await read(name);
    const accepted = condition(object, 'Accepted');
    return accepted?.status === 'True' && accepted.observedGeneration === object.metadata.generation;
  }, patience);
}

/** Resolves once the current generation is reported as failing, with this cause; an event says it as well. */
async function untilFailing(name: string, cause: RegExp): Promise<void> {
  await eventually(async () => {
    const object = await read(name);
    const reconciling = condition(object, 'Reconciling');
    return reconciling?.reason === 'ApplyFailing' && reconciling.observedGeneration === object.metadata.generation;
  }, promise);
  const object = await read(name);
  const { status, reason, message } = condition(object, 'Ready');
  assert.deepEqual([status, reason], ['False', 'ApplyFailing']);
  assert.match(message, cause);
  assert.equal(condition(object, 'Stalled'), undefined);
  await untilEvent(name, 'ApplyFailing', cause);
}

async function untilEvent(name: string, reason: string, note: RegExp): Promise<void> {
  await eventually(async () => {
    const { items } = await cluster.get('/apis/events.k8s.io/v1/namespaces/shop/events');
    return items.some(
      (one: Any) =>
        one.regarding.name === name && one.reason === reason && one.type === 'Warning' && note.test(one.note),
    );
  }, promise);
}

test('a dead admission webhook: a changed and a new object say so, and recover once it is gone', { skip }, async () => {
  await put(cluster, named('changed'));
  await untilAccepted('changed');
  {
    await using dead = await webhook('dead', '', ['configmaps'], 1);
    await untilRefusing();
    await put(cluster, named('changed', { statsIntervalSeconds: 7 }));
    await put(cluster, named('fresh'));
    const cause = new RegExp(`failed calling webhook "${dead.name}"`);
    await Promise.all([untilFailing('changed', cause), untilFailing('fresh', cause)]);
  }
  // A touch ends the wait of the last retry.
  await Promise.all(['changed', 'fresh'].map((name) => put(cluster, named(name, { statsIntervalSeconds: 8 }))));
  await Promise.all(['changed', 'fresh'].map(untilAccepted));
  assert.equal(condition(await read('changed'), 'Ready').reason, 'GroupNotReady');
});

test('a webhook that never answers: objects say so before it times out, and others are not held up', {
  skip,
}, async () => {
  const sockets = new Set<Socket>();
  await using silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  try {
    await using _ = await webhook('silent', 'policy', ['poddisruptionbudgets'], port);
    const names = Array.from({ length: 6 }, (_value, index) => `silent-${index}`);
    await eventually(async () => {
      await put(cluster, named(names[0] ?? ''));
      return sockets.size > 0;
    }, patience);
    await Promise.all(names.slice(1).map((name) => put(cluster, named(name))));
    await Promise.all(names.map((name) => untilFailing(name, /the API server has not answered yet/)));
    await put(cluster, named('bystander', { groupRef: { name: 'none' } }));
    await eventually(async () => condition(await read('bystander'), 'Ready')?.reason === 'GroupNotFound', promise);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test('a status that cannot be written either is in an event', { skip }, async () => {
  await using dead = await webhook('everything', '*', ['configmaps', 'hydrogengateways/status'], 1);
  await untilRefusing();
  await put(cluster, named('mute'));
  await untilEvent('mute', 'ApplyFailing', new RegExp(`failed calling webhook "${dead.name}"`));
  assert.equal((await read('mute')).status, undefined);
});

test('a removal that keeps failing says what holds it up, and ends once it can', { skip }, async () => {
  const path = `${customPath}/hydrogenmessageprocessors/held`;
  const metadata = { name: 'held', namespace: 'shop', finalizers: ['hydrogen.dev/consumers'] };
  await put(cluster, { ...processor({ groupRef: { name: 'lost' } }), metadata });
  await eventually(async () => condition(await cluster.get(path), 'Ready')?.reason === 'GroupNotFound', patience);
  {
    await using dead = await webhook('removals', 'hydrogen.dev', ['hydrogenmessageprocessors'], 1, ['UPDATE']);
    const label = { metadata: { labels: { a: 'b' } } };
    const mergePatch = { 'content-type': 'application/merge-patch+json' };
    await eventually(
      async () => (await cluster.call('PATCH', `${path}?dryRun=All`, label, mergePatch)).status === 500,
      patience,
    );
    await cluster.call('DELETE', path);
    await eventually(async () => condition(await cluster.get(path), 'Deleting')?.reason === 'RemovalFailing', promise);
    const ready = condition(await cluster.get(path), 'Ready');
    assert.deepEqual([ready.status, ready.reason], ['False', 'RemovalFailing']);
    assert.match(ready.message, new RegExp(`failed calling webhook "${dead.name}"`));
  }
  await eventually(async () => (await cluster.call('GET', path)).status === 404, patience);
});
