/** The operator on a real API server that throttles it by API Priority and Fairness. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import test from 'node:test';

import { createKube } from '../../operator/kube/client.ts';
import { customTypes } from '../../operator/kube/objects.ts';
import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually, holds } from '../kit/eventually.ts';
import type { Any } from '../operator/kit/api.ts';
import { asOperator, customPath, put } from '../operator/kit/cluster.ts';
import { callsOf, condition, gateway, group, startOperator, type TestOperator } from '../operator/kit/operator.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 90_000, everyMs: 100 };
const flowControl = '/apis/flowcontrol.apiserver.k8s.io/v1';
const leasePath = '/apis/coordination.k8s.io/v1/namespaces/hydrogen-system/leases/hydrogen-operator';
const account = { name: 'hydrogen-operator', namespace: 'hydrogen-system' };
/** Every request of the operator except those for its lease. */
const workGroups = ['', 'apps', 'autoscaling', 'policy', 'networking.k8s.io', 'hydrogen.dev', 'events.k8s.io'];
/** Number of lists and watches: custom resources, children, and secrets. */
const reflectors = 13;
/** The shortest Retry-After of a server that throttles. */
const retryAfterMs = 1000;

const named = (name: string): Any => ({ ...gateway(), metadata: { name, namespace: 'shop' } });
const deployments = '/apis/apps/v1/namespaces/shop/deployments';
const throttled = { status: '429' };

/**
 * From now on the operator has few seats for such requests, and no queue.
 * @param shares of some 250 of the server, which has 600 places; without any there is one
 */
async function narrow(cluster: TestApiServer, groups: readonly string[], shares: number): Promise<void> {
  const of = (kind: string, spec: object): Any => {
    return { apiVersion: 'flowcontrol.apiserver.k8s.io/v1', kind, metadata: { name: 'narrow' }, spec };
  };
  const limited = {
    nominalConcurrencyShares: shares,
    lendablePercent: 0,
    borrowingLimitPercent: 0,
    limitResponse: { type: 'Reject' },
  };
  const level = of('PriorityLevelConfiguration', { type: 'Limited', limited });
  const resources = { verbs: ['*'], apiGroups: groups, resources: ['*'], namespaces: ['*'], clusterScope: true };
  const rule = { subjects: [{ kind: 'ServiceAccount', serviceAccount: account }], resourceRules: [resources] };
  const flow = of('FlowSchema', {
    priorityLevelConfiguration: { name: 'narrow' },
    matchingPrecedence: 2,
    rules: [rule],
  });
  for (const [path, object] of [
    ['prioritylevelconfigurations', level],
    ['flowschemas', flow],
  ] as const) {
    const { status, body } = await cluster.apply(`${flowControl}/${path}/narrow`, object);
    assert.ok(status < 300, JSON.stringify(body));
  }
}

/** Leaves it no seat: a request that ends when this is disposed occupies the only one. */
async function throttle(cluster: TestApiServer, kubeconfig: string, groups = workGroups): Promise<AsyncDisposable> {
  await narrow(cluster, groups, 0);
  const { clusters, users } = JSON.parse(await readFile(kubeconfig, 'utf8'));
  const options = {
    method: 'POST',
    ca: Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64'),
    headers: {
      authorization: `Bearer ${users[0].user.token}`,
      'content-type': 'application/json',
      'content-length': 99,
    },
  };
  const kube = createKube({ kubeconfig });
  const isRefused = (): Promise<boolean> =>
    kube.list(customTypes.HydrogenGroup, {}).then(
      () => false,
      ({ status }: { status?: number }) => status === 429,
    );
  let endless: ClientRequest | undefined;
  await eventually(
    async () => {
      endless?.destroy();
      endless = request(new URL('/api/v1/namespaces/shop/configmaps', cluster.url), options).on('error', () => {});
      endless.flushHeaders();
      await holds(isRefused, 500);
    },
    { ...patience, everyMs: 200 },
  );
  kube.close();
  return {
    [Symbol.asyncDispose]: async () => {
      for (const path of ['flowschemas', 'prioritylevelconfigurations']) {
        assert.equal((await cluster.call('DELETE', `${flowControl}/${path}/narrow`)).status, 200);
      }
      endless?.destroy();
    },
  };
}

/** Nothing is logged about a server that asks to wait. */
function errorsOf({ lines }: TestOperator): string[] {
  return lines.filter(({ level }) => level === 'error').map(({ msg }) => msg);
}

async function areInForce(cluster: TestApiServer, names: readonly string[]): Promise<boolean> {
  const { items } = await cluster.get(`${customPath}/hydrogengateways`);
  return items.length === names.length && items.every((one: Any) => condition(one, 'Accepted')?.status === 'True');
}

test('a throttled operator sends few requests, keeps its lease, and catches up once it is admitted again', {
  skip,
}, async (context) => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  let isLost = false;
  await using running = startOperator(kubeconfig, {
    lease: { identity: 'a', namespace: 'hydrogen-system' },
    timing: { lease: { durationMs: 3000, renewDeadlineMs: 2000, retryMs: 400 } },
    onLost: () => {
      isLost = true;
    },
  });
  await put(cluster, named('before'));
  await eventually(() => areInForce(cluster, ['before']), patience);
  const throttling = await throttle(cluster, kubeconfig);
  const names = Array.from({ length: 20 }, (_, index) => `g${index}`);
  await Promise.all(names.map((name) => put(cluster, named(name))));
  await eventually(async () => (await callsOf(running, throttled)) > 0, patience);
  const [before, startedMs] = [await callsOf(running, throttled), performance.now()];
  const { renewTime, leaseTransitions } = (await cluster.get(leasePath)).spec;
  // Longer than a lease lasts without renewal.
  await holds(() => running.operator.isLeading, 8000);
  const refused = (await callsOf(running, throttled)) - before;
  const seconds = (performance.now() - startedMs) / 1000;
  context.diagnostic(`${refused} requests refused in ${seconds.toFixed(1)} s, of ${names.length} gateways and a group`);
  // A key waits a second, and from its fourth attempt on twice as long as before: five in eight seconds and one in progress.
  assert.ok(refused <= (names.length + 2) * 7, `${refused}`);
  const lease = (await cluster.get(leasePath)).spec;
  assert.deepEqual([lease.holderIdentity, lease.leaseTransitions], ['a', leaseTransitions]);
  assert.ok(lease.renewTime > renewTime);
  assert.equal((await cluster.get(deployments)).items.length, 1);
  assert.equal(isLost, false);

  await throttling[Symbol.asyncDispose]();
  await eventually(() => areInForce(cluster, ['before', ...names]), patience);
  context.diagnostic(`in force ${((performance.now() - startedMs) / 1000 - seconds).toFixed(1)} s after that`);
  assert.equal(isLost, false);
  assert.deepEqual(errorsOf(running), []);
});

test('an operator throttled at its start requests each list once per Retry-After', {
  skip,
}, async (context) => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  await put(cluster, named('chat'));
  const throttling = await throttle(cluster, kubeconfig, ['*']);
  const startedMs = performance.now();
  await using running = startOperator(kubeconfig);
  await holds(() => running.operator.notReadyReason !== undefined, 6000);
  const rounds = Math.ceil((performance.now() - startedMs) / retryAfterMs) + 1;
  const [asked, refused] = [await callsOf(running), await callsOf(running, throttled)];
  context.diagnostic(`${refused} requests refused in ${rounds - 1} s`);
  assert.ok(refused > 0 && refused === asked, `${refused} of ${asked}`);
  assert.ok(refused <= reflectors * rounds, `${refused}`);
  await throttling[Symbol.asyncDispose]();
  await eventually(() => running.operator.notReadyReason === undefined, patience);
  await eventually(() => areInForce(cluster, ['chat']), patience);
});

test('many gateways are created although the server admits fewer requests than the operator sends at once', {
  skip,
}, async (context) => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  await using running = startOperator(kubeconfig);
  await eventually(() => running.operator.notReadyReason === undefined, patience);
  await narrow(cluster, workGroups, 1);
  const names = Array.from({ length: 50 }, (_, index) => `g${index}`);
  const startedMs = performance.now();
  await Promise.all(names.map((name) => put(cluster, named(name))));
  await eventually(() => areInForce(cluster, names), patience);
  const [all, refused] = [await callsOf(running), await callsOf(running, throttled)];
  const seconds = (performance.now() - startedMs) / 1000;
  context.diagnostic(`in force after ${seconds.toFixed(1)} s; ${refused} of ${all} requests refused`);
  assert.ok(refused > 0 && refused < all / 2, `${refused} of ${all}`);
  assert.deepEqual(errorsOf(running), []);
});
