/** What deleted processors and groups leave behind in NATS, and when there is nothing to wait for. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually, holds } from '../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';
import { startTcpProxy } from '../../kit/tcp-proxy.ts';
import { type Any, type FakeApi, startFakeApi } from '../kit/api.ts';
import { condition, group, processor, startOperator, type TestOperator } from '../kit/operator.ts';
import { administer, observe, ready, streamName, streamNames, withoutRight } from './kit.ts';

const skip = await natsOrSkip();
const consumersLeft = 'the consumers of a deleted message processor were left';
const streamsLeft = 'the streams of a deleted group were left';

const deleteConsumers = (url: string): Promise<void> =>
  administer(url, async ({ consumers }) => {
    for (const { name } of await consumers.list(streamName).next()) await consumers.delete(streamName, name);
  });
const isGone = (api: FakeApi, plural: string): boolean => api.get(plural, 'chat') === undefined;
const has = ({ lines }: TestOperator, message: string): boolean => lines.some(({ msg }) => msg.startsWith(message));
const invalid = (url: string): Any => group(url, { instanceLeaseSeconds: -1 });

test('deleting a processor removes its pods and then its consumers', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(async () => (await observe(nats.url)).consumers.length === 2);
  await eventually(() => api.get('deployments', 'chat-mproc') !== undefined);
  api.remove('hydrogenmessageprocessors', 'chat');
  await eventually(() => api.get('hydrogenmessageprocessors', 'chat') === undefined);
  assert.deepEqual((await observe(nats.url)).consumers, []);
  assert.deepEqual(api.list('deployments'), []);
  const deleted = api
    .writes()
    .find(({ method, path }) => method === 'DELETE' && path.endsWith('/deployments/chat-mproc'));
  assert.equal(deleted?.body.propagationPolicy, 'Foreground');
});

test('a processor that disappears while it is reconciled is wanted by nobody afterwards', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 50 } });
  api.put('hydrogengroups', group(nats.url));
  api.put('secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'slow', namespace: 'shop' },
    data: { key: '' },
  });
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');

  // Its reconciliation waits for a secret, while somebody removes it along with its finalizer.
  const secret = Promise.withResolvers<undefined>();
  let isWaiting = false;
  api.fault = ({ path }) => {
    if (!path.endsWith('/secrets/slow')) return undefined;
    isWaiting = true;
    return secret.promise;
  };
  const headers = [{ name: 'x-key', valueFrom: { secretKeyRef: { name: 'slow', key: 'key' } } }];
  const rules = [{ name: 'all', pattern: '.*', destination: { url: 'http://backend', headers } }];
  const disappearing = processor({ routing: { rules } });
  disappearing.metadata.finalizers = ['hydrogen.dev/consumers'];
  api.put('hydrogenmessageprocessors', disappearing);
  await eventually(() => isWaiting);
  api.remove('hydrogenmessageprocessors', 'chat');
  api.put('hydrogenmessageprocessors', { ...disappearing, metadata: { ...disappearing.metadata, finalizers: [] } });
  assert.ok(isGone(api, 'hydrogenmessageprocessors'));
  const marker = processor();
  marker.metadata.name = 'marker';
  api.put('hydrogenmessageprocessors', marker);
  // Events arrive in order, so by then the operator knows that the other one is gone.
  await eventually(async () => (await observe(nats.url)).consumers.includes('marker'));
  secret.resolve(undefined);
  await eventually(async () => (await observe(nats.url)).consumers.includes('chat'));

  // The operator makes again what somebody deletes, but only what is wanted.
  await eventually(async () => {
    await deleteConsumers(nats.url);
    await eventually(async () => (await observe(nats.url)).consumers.includes('marker'));
    await holds(async () => !(await observe(nats.url)).consumers.includes('chat'), 200);
  });
});

for (const [deletionPolicy, left] of [
  ['Retain', streamNames],
  ['Delete', []],
] as const) {
  test(`deletionPolicy ${deletionPolicy} leaves ${left.length} streams of a deleted group`, { skip }, async () => {
    await using nats = await startNats();
    await using api = await startFakeApi();
    await using _ = startOperator(api.kubeconfig);
    api.put('hydrogengroups', group(nats.url, { stream: { deletionPolicy } }));
    await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
    api.remove('hydrogengroups', 'chat');
    await eventually(() => api.get('hydrogengroups', 'chat') === undefined);
    assert.deepEqual((await observe(nats.url)).streams, left);
  });
}

test('a processor does not wait for the NATS of a group that is deleted along with it', async () => {
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(undefined, { nats: { managed: { replicas: 1 } } }));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(() => api.get('deployments', 'chat-mproc') !== undefined);
  await eventually(() => api.get('hydrogengroups', 'chat').metadata.finalizers?.length === 1);
  api.remove('hydrogenmessageprocessors', 'chat');
  await eventually(() => condition(api.get('hydrogenmessageprocessors', 'chat'), 'Deleting') !== undefined);
  await holds(() => api.get('hydrogenmessageprocessors', 'chat') !== undefined, 200);
  api.remove('hydrogengroups', 'chat');
  await eventually(() => api.get('hydrogenmessageprocessors', 'chat') === undefined);
  await eventually(() => api.get('hydrogengroups', 'chat') === undefined);
  assert.ok(running.lines.some(({ msg }) => msg.startsWith('the consumers of a deleted message processor were left')));
});

test('streams that NATS refuses to delete keep the group, which says why', { skip }, async () => {
  await using nats = await startNats({ config: withoutRight('$JS.API.STREAM.DELETE.>') });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url, { stream: { deletionPolicy: 'Delete' } }));
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  api.remove('hydrogengroups', 'chat');
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'RemovingStreams');
  assert.match(ready(api, 'hydrogengroups').message, /NATS does not delete the streams: .+; to leave them/);
});

test('the consumers of a deleted processor whose group is invalid are removed over the existing connection', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(async () => (await observe(nats.url)).consumers.length === 2);
  api.put('hydrogengroups', invalid(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'InvalidSpec');
  api.remove('hydrogenmessageprocessors', 'chat');
  await eventually(() => isGone(api, 'hydrogenmessageprocessors'));
  assert.deepEqual((await observe(nats.url)).consumers, []);
  assert.ok(!has(running, consumersLeft));
});

test('a processor waits until its invalid group is corrected if there is no connection to its NATS', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  {
    await using _ = startOperator(api.kubeconfig);
    await eventually(async () => (await observe(nats.url)).consumers.length === 2);
  }
  api.put('hydrogengroups', invalid(nats.url));
  await using _ = startOperator(api.kubeconfig);
  api.remove('hydrogenmessageprocessors', 'chat');
  const deleting = (): Any => condition(api.get('hydrogenmessageprocessors', 'chat'), 'Deleting');
  await eventually(() => deleting()?.message.includes('HydrogenGroup/chat is invalid') === true);
  assert.equal(deleting().reason, 'RemovingConsumers');
  api.put('hydrogengroups', group(nats.url, { instanceLeaseSeconds: 20 }));
  await eventually(() => isGone(api, 'hydrogenmessageprocessors'), { timeoutMs: 20_000 });
  assert.deepEqual((await observe(nats.url)).consumers, []);
});

test('a processor does not wait for a group that is invalid and deleted as well', async () => {
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig);
  api.put('hydrogengroups', invalid('nats://127.0.0.1:1'));
  const restored = processor();
  restored.metadata.finalizers = ['hydrogen.dev/consumers'];
  api.put('hydrogenmessageprocessors', restored);
  await eventually(() => api.get('hydrogengroups', 'chat').metadata.finalizers?.length === 1);
  api.remove('hydrogengroups', 'chat');
  api.remove('hydrogenmessageprocessors', 'chat');
  await eventually(() => isGone(api, 'hydrogenmessageprocessors') && isGone(api, 'hydrogengroups'));
  assert.ok(has(running, consumersLeft));
});

/** A processor and a group with deletionPolicy Delete, whose NATS is gone for good. */
async function startOrphans(api: FakeApi): Promise<TestOperator> {
  await using nats = await startNats();
  const running = startOperator(api.kubeconfig, { timing: { goneMs: 300 } });
  api.put('namespaces', { metadata: { name: 'shop', namespace: undefined, finalizers: ['kubernetes'] } });
  api.put('hydrogengroups', group(nats.url, { stream: { deletionPolicy: 'Delete' } }));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(async () => (await observe(nats.url)).consumers.length === 2);
  return running;
}

test('in a namespace that is being deleted nothing waits for a NATS that is gone', { skip }, async () => {
  await using api = await startFakeApi();
  await using running = await startOrphans(api);
  const { metadata } = api.get('namespaces', 'shop', '');
  api.put('namespaces', { metadata: { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  api.remove('hydrogenmessageprocessors', 'chat');
  api.remove('hydrogengroups', 'chat');
  await eventually(() => isGone(api, 'hydrogenmessageprocessors') && isGone(api, 'hydrogengroups'), {
    timeoutMs: 30_000,
  });
  assert.ok(has(running, consumersLeft) && has(running, streamsLeft));
});

test('in a namespace that stays, both wait for a NATS that is gone, however long it takes', { skip }, async () => {
  await using api = await startFakeApi();
  await using running = await startOrphans(api);
  api.remove('hydrogenmessageprocessors', 'chat');
  await eventually(() => condition(api.get('hydrogenmessageprocessors', 'chat'), 'Deleting') !== undefined);
  const asked = (): number => api.seen.filter(({ path }) => path === '/api/v1/namespaces/shop').length;
  await eventually(() => asked() > 0, { timeoutMs: 30_000 });
  await holds(() => !isGone(api, 'hydrogenmessageprocessors'), 300);
  assert.ok(!has(running, consumersLeft));
});

test('a group is removed even if its NATS is slow, and creates nothing in the meantime', { skip }, async () => {
  await using nats = await startNats();
  await using proxy = await startTcpProxy(nats.port);
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(`nats://127.0.0.1:${proxy.port}`, { stream: { deletionPolicy: 'Delete' } }));
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  proxy.slow(150);
  api.remove('hydrogengroups', 'chat');
  await eventually(() => isGone(api, 'hydrogengroups'));
  await holds(async () => (await observe(nats.url)).streams.length === 0, 300);
});

test('deleting an invalid group removes its streams too, or reports that they were left behind', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  const wrong = group(nats.url, { stream: { deletionPolicy: 'Delete' }, instanceLeaseSeconds: -1 });
  {
    await using running = startOperator(api.kubeconfig);
    api.put('hydrogengroups', group(nats.url, { stream: { deletionPolicy: 'Delete' } }));
    await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
    api.put('hydrogengroups', wrong);
    await eventually(() => ready(api, 'hydrogengroups')?.reason === 'InvalidSpec');
    api.remove('hydrogengroups', 'chat');
    await eventually(() => isGone(api, 'hydrogengroups'));
    assert.deepEqual((await observe(nats.url)).streams, []);
    assert.ok(!has(running, streamsLeft));
  }
  api.put('hydrogengroups', wrong);
  await using running = startOperator(api.kubeconfig);
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'InvalidSpec');
  api.remove('hydrogengroups', 'chat');
  await eventually(() => isGone(api, 'hydrogengroups'));
  assert.ok(has(running, streamsLeft));
});
