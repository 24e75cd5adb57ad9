/** The whole operator with an API server that does what the test says. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { createKube } from '../../operator/kube/client.ts';
import { createEvents } from '../../operator/kube/events.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { type FakeApi, type Seen, startFakeApi } from './kit/api.ts';
import { condition, gateway, group, processor, startOperator } from './kit/operator.ts';

const kinds = [
  'configmaps',
  'services',
  'deployments',
  'horizontalpodautoscalers',
  'poddisruptionbudgets',
  'networkpolicies',
];

const isChildWrite = ({ method, path }: Seen): boolean =>
  method !== 'GET' && kinds.some((plural) => path.includes(`/${plural}/`));
const reasonOf = (api: FakeApi, plural: string, type: string): string | undefined =>
  condition(api.get(plural, 'chat'), type)?.reason;

/** Resolves when the gateway's deployment exists and its status says so. */
async function settled(api: FakeApi): Promise<void> {
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined);
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Available') === 'PodsNotReady');
}

function rollOut(api: FakeApi, name: string): void {
  const { metadata, spec } = api.get('deployments', name);
  const replicas = spec.replicas ?? 1;
  const counts = { replicas, readyReplicas: replicas, availableReplicas: replicas, updatedReplicas: replicas };
  api.put('deployments', {
    metadata: { name, namespace: 'shop' },
    status: { observedGeneration: metadata.generation, ...counts },
  });
}

test('a gateway waits for its group, says so, and runs once the group exists', async () => {
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengateways', gateway());
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Ready') === 'GroupNotFound');
  assert.deepEqual(api.list('deployments'), []);
  api.put('hydrogengroups', group());
  await settled(api);
  for (const child of kinds.flatMap((plural) => api.list(plural))) {
    const [owner] = child.metadata.ownerReferences;
    assert.equal(owner.uid, api.get('hydrogengateways', 'chat').metadata.uid);
    assert.equal(owner.controller, true);
  }
});

test('an unchanged object costs no writes, however often it is reconciled', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway({ autoscaling: { maxReplicas: 3 } }));
  await using running = startOperator(api.kubeconfig, { timing: { resyncMs: 20 } });
  await settled(api);
  await eventually(() => reasonOf(api, 'hydrogengroups', 'Ready') === 'BusUnreachable');
  await eventually(() => condition(api.get('hydrogengateways', 'chat'), 'GroupReady').message.includes('NATS'));
  const reports = (): number => running.lines.filter(({ msg }) => msg === 'reconciled').length;
  const writesWhileLooking = async (times: number): Promise<unknown[]> => {
    const before = api.writes().length;
    const looked = reports();
    await eventually(() => reports() > looked + times);
    return api.writes().slice(before);
  };
  // The last reports about the refused connection may still arrive.
  await eventually(async () => (await writesWhileLooking(10)).length === 0);
  assert.deepEqual(await writesWhileLooking(20), []);
});

test('drift is corrected: an edited field is reverted, a deleted child is created again', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using _ = startOperator(api.kubeconfig);
  await settled(api);
  const deployment = structuredClone(api.get('deployments', 'chat-gateway'));
  const { image } = deployment.spec.template.spec.containers[0];
  deployment.spec.template.spec.containers[0].image = 'else:1';
  api.put('deployments', deployment);
  await eventually(() => api.get('deployments', 'chat-gateway').spec.template.spec.containers[0].image === image);
  api.remove('services', 'chat-gateway');
  await eventually(() => api.get('services', 'chat-gateway') !== undefined);
});

test('what others add to a child stays', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using running = startOperator(api.kubeconfig, { timing: { resyncMs: 20 } });
  await settled(api);
  api.put('services', { metadata: { name: 'chat-gateway', namespace: 'shop', annotations: { theirs: 'yes' } } });
  const reports = (): number => running.lines.filter(({ msg }) => msg === 'reconciled').length;
  const looked = reports();
  await eventually(() => reports() > looked + 5);
  assert.equal(api.get('services', 'chat-gateway').metadata.annotations.theirs, 'yes');
});

test('a child that the spec no longer asks for is removed', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway({ autoscaling: { maxReplicas: 3 } }));
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => api.get('horizontalpodautoscalers', 'chat-gateway') !== undefined);
  await settled(api);
  const without = structuredClone(api.get('hydrogengateways', 'chat'));
  without.spec.autoscaling = undefined;
  api.put('hydrogengateways', without);
  await eventually(() => api.get('horizontalpodautoscalers', 'chat-gateway') === undefined);
  assert.ok(api.get('deployments', 'chat-gateway') !== undefined);
});

test("somebody else's object of the same name is never touched, and a condition names it", async () => {
  await using api = await startFakeApi();
  const foreign = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'chat-gateway', namespace: 'shop' },
    spec: { a: 1 },
  };
  const { metadata } = api.put('services', foreign);
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Accepted') === 'NameConflict');
  assert.match(condition(api.get('hydrogengateways', 'chat'), 'Stalled').message, /Service\/chat-gateway/);
  assert.equal(api.get('services', 'chat-gateway').metadata.resourceVersion, metadata.resourceVersion);
});

test('an invalid spec changes nothing that runs, and its condition lists every problem', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using _ = startOperator(api.kubeconfig);
  await settled(api);
  const before = api.writes().filter(isChildWrite).length;
  api.put('hydrogengateways', gateway({ endpoints: [{ path: 'chat' }], statsIntervalSeconds: -1 }));
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Accepted') === 'InvalidSpec');
  const { message } = condition(api.get('hydrogengateways', 'chat'), 'Accepted');
  assert.match(message, /spec\.endpoints\[0\]\.path/);
  assert.match(message, /spec\.statsIntervalSeconds/);
  assert.equal(api.writes().filter(isChildWrite).length, before);
});

test('a paused gateway, and one whose group is paused, has no child written', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using _ = startOperator(api.kubeconfig);
  await settled(api);
  api.put('hydrogengateways', gateway({ paused: true }));
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Paused') === 'Paused');
  const before = api.writes().filter(isChildWrite).length;
  api.put('hydrogengateways', gateway({ paused: true, template: { image: 'else:2' } }));
  await eventually(() => condition(api.get('hydrogengateways', 'chat'), 'Paused').observedGeneration === 3);
  assert.equal(api.writes().filter(isChildWrite).length, before);

  api.put('hydrogengroups', group(undefined, { paused: true }));
  await eventually(() => reasonOf(api, 'hydrogengroups', 'Paused') === 'Paused');
  api.put('hydrogengateways', gateway({ paused: false }));
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Paused') === 'GroupPaused');
  assert.equal(api.writes().filter(isChildWrite).length, before);

  api.put('hydrogengroups', group(undefined, { paused: false }));
  await eventually(() => api.get('deployments', 'chat-gateway').spec.template.spec.containers[0].image === 'else:2');
});

test('a missing permission results in a condition that names it, and not in a hot loop', async () => {
  await using api = await startFakeApi();
  const message = 'deployments.apps is forbidden: User "o" cannot patch resource "deployments"';
  api.fault = ({ method, path }) =>
    method === 'PATCH' && path.includes('/deployments/') ? { status: 403, message } : undefined;
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Stalled') === 'ApplyForbidden');
  assert.match(condition(api.get('hydrogengateways', 'chat'), 'Ready').message, /cannot patch resource "deployments"/);
  const tries = (): number =>
    api.seen.filter(({ method, path }) => method === 'PATCH' && path.includes('/deployments/')).length;
  const before = tries();
  await holds(() => tries() <= before + 1, 200);
});

test('a server that fails, throttles or refuses a schema is handled accordingly', async () => {
  await using api = await startFakeApi();
  const faults = [
    { status: 500, message: 'etcdserver: leader changed' },
    { status: 429, message: 'too many requests' },
    { status: 409, message: 'the object has been modified' },
  ];
  api.fault = ({ method, path }) => (method === 'PATCH' && path.includes('/deployments/') ? faults.shift() : undefined);
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using running = startOperator(api.kubeconfig);
  await settled(api);
  assert.equal(running.lines.filter(({ msg }) => msg.startsWith('reconcile failed')).length, 3);

  const refusal = { status: 500, message: 'failed to create typed patch object: field not declared in schema' };
  api.fault = ({ method, path }) => (method === 'PATCH' && path.includes('/deployments/') ? refusal : undefined);
  api.put('hydrogengateways', gateway({ template: { image: 'else:3' } }));
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Stalled') === 'ApplyRefused');
});

test('the status follows the pods: counts, selector, addresses and conditions', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway({ replicas: 2 }));
  await using _ = startOperator(api.kubeconfig);
  await settled(api);
  rollOut(api, 'chat-gateway');
  await eventually(() => reasonOf(api, 'hydrogengateways', 'Available') === 'Available');
  const { status, metadata } = api.get('hydrogengateways', 'chat');
  assert.equal(status.availableReplicas, 2);
  assert.equal(status.selector, 'hydrogen.dev/gateway=chat');
  assert.deepEqual(status.endpoints, ['ws://chat-gateway.shop.svc/chat']);
  assert.equal(status.url, 'http://chat-management.shop.svc:8081');
  assert.equal(status.observedGeneration, metadata.generation);
});

test('a deleted group waits for its members and lists them', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using _ = startOperator(api.kubeconfig);
  await settled(api);
  api.remove('hydrogengroups', 'chat');
  await eventually(() => reasonOf(api, 'hydrogengroups', 'Deleting') === 'WaitingForMembers');
  assert.match(condition(api.get('hydrogengroups', 'chat'), 'Deleting').message, /HydrogenGateway\/chat/);
  api.remove('hydrogengateways', 'chat');
  await eventually(() => api.get('hydrogengroups', 'chat') === undefined);
  await eventually(() => api.list('deployments').length === 0);
});

test('no change is missed when watches are cut or have expired', async () => {
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group());
  await eventually(() => api.watchCount === 13);
  api.dropWatches();
  api.put('hydrogengateways', gateway());
  await settled(api);
  api.expireWatches();
  api.put('hydrogengateways', gateway({ template: { image: 'else:4' } }));
  await eventually(() => api.get('deployments', 'chat-gateway').spec.template.spec.containers[0].image === 'else:4');
});

test('an event says why an object is stuck, once for each reason', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway({ endpoints: [] }));
  await using _ = startOperator(api.kubeconfig, { timing: { resyncMs: 20 } });
  await eventually(() => api.list('events').length === 1);
  await holds(() => api.list('events').length === 1, 100);
  const [event] = api.list('events');
  assert.equal(event.reason, 'InvalidSpec');
  assert.match(event.eventTime, /\.\d{6}Z$/);
  assert.equal(event.regarding.uid, api.get('hydrogengateways', 'chat').metadata.uid);
});

test('a processor runs even if the bus of its group is down', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogenmessageprocessors', processor());
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => api.get('deployments', 'chat-mproc') !== undefined);
  await eventually(() => reasonOf(api, 'hydrogenmessageprocessors', 'GroupReady') === 'GroupNotReady');
});

test('a status that changes back and forth quickly ends up right, and an edited one is reverted', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using _ = startOperator(api.kubeconfig);
  await settled(api);
  for (let round = 0; round < 10; round++) {
    rollOut(api, 'chat-gateway');
    const { metadata } = api.get('deployments', 'chat-gateway');
    const none = { replicas: 1, readyReplicas: 0, availableReplicas: 0, updatedReplicas: 1 };
    const status = { observedGeneration: metadata.generation, ...none };
    await holds(() => true, round * 3);
    api.put('deployments', { metadata: { name: 'chat-gateway', namespace: 'shop' }, status });
    await holds(() => true, round);
    rollOut(api, 'chat-gateway');
    await eventually(() => holds(() => reasonOf(api, 'hydrogengateways', 'Available') === 'Available', 50));
  }
  const edited = structuredClone(api.get('hydrogengateways', 'chat'));
  edited.status.availableReplicas = 77;
  api.put('hydrogengateways', edited);
  await eventually(() => api.get('hydrogengateways', 'chat').status.availableReplicas === 1);
});

test('an event that the server has forgotten is recorded again', async () => {
  await using api = await startFakeApi();
  let time = 0;
  const kube = createKube({ kubeconfig: api.kubeconfig });
  const failures: unknown[] = [];
  const events = createEvents({
    kube,
    instance: 'operator-1',
    onFailure: (error) => void failures.push(error),
    now: () => new Date(time),
  });
  const object = api.put('hydrogengateways', gateway());
  const record = async (): Promise<void> => {
    events.record(object, { type: 'Normal', reason: 'Ready', action: 'Reconcile', note: 'well' });
    await events.settled();
    time += 61_000;
  };
  await record();
  const [first] = api.list('events');
  api.remove('events', first.metadata.name);
  await record();
  kube.close();
  assert.equal(api.list('events').length, 1);
  assert.deepEqual(failures, []);
});
