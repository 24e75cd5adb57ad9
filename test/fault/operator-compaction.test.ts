/** The operator on a real API server whose etcd was compacted: the versions that it would continue from have expired. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Reflector } from '../../operator/cache/reflector.ts';
import { createKube, type Kube } from '../../operator/kube/client.ts';
import { childTypeOf } from '../../operator/kube/objects.ts';
import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { startTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';
import type { Any } from '../operator/kit/api.ts';
import { asOperator, customPath, put, throughProxy } from '../operator/kit/cluster.ts';
import { callsOf, condition, gateway, group, startOperator, type TestOperator } from '../operator/kit/operator.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 60_000, everyMs: 50 };
const gateways = `${customPath}/hydrogengateways`;
const services = '/api/v1/namespaces/shop/services';
const deployments = '/apis/apps/v1/namespaces/shop/deployments';
/** One page of a list is 100. */
const count = 110;
/** Watches of the operator: three kinds of custom resources, eight kinds of children, and secrets. */
const watches = 12;

const named = (name: string, spec: Any = {}): Any => ({ ...gateway(spec), metadata: { name, namespace: 'shop' } });

async function imageOf(cluster: TestApiServer, name: string): Promise<string> {
  return (await cluster.get(`${deployments}/${name}-gateway`)).spec.template.spec.containers[0].image;
}

/** Creates the gateways `g0` to `g109` and waits until the operator has nothing left to do. */
async function fill(cluster: TestApiServer, { operator }: TestOperator, proxy: TcpProxy): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => `g${index}`);
  await Promise.all(names.map((name) => put(cluster, named(name))));
  await eventually(async () => {
    const { items } = await cluster.get(gateways);
    return items.every((one: Any) => condition(one, 'GroupReady')?.message.includes('cannot be reached'));
  }, patience);
  await eventually(() => operator.queueDepth === 0 && proxy.count >= watches, patience);
}

/**
 * Changes, deletes and adds objects unseen by the operator, and compacts the versions that it would continue from.
 * @param afterwards makes the API server forget them, too
 */
async function changeUnseen(cluster: TestApiServer, afterwards?: () => Promise<void>): Promise<void> {
  const old = (await cluster.get(gateways)).metadata.resourceVersion;
  await put(cluster, named('g0', { template: { image: 'else:1' } }));
  await put(cluster, named('late'));
  for (const path of [`${gateways}/g2`, `${gateways}/g108`, `${deployments}/g3-gateway`, `${services}/g109-gateway`]) {
    assert.equal((await cluster.call('DELETE', path)).status, 200);
  }
  const touch = (value: number): Any => ({ metadata: { annotations: { touched: `${value}` } } });
  const merge = { 'content-type': 'application/merge-patch+json' };
  const touched = Array.from({ length: 20 }, (_, index) => `${gateways}/g${50 + index}`);
  for (let value = 0; value < 10; value += 1) {
    await Promise.all(touched.map((path) => cluster.call('PATCH', path, touch(value), merge)));
  }
  await cluster.compact();
  await afterwards?.();
  const past = `resourceVersion=${old}&resourceVersionMatch=Exact`;
  await eventually(async () => (await cluster.call('GET', `${gateways}?${past}&limit=1`)).status === 410, patience);
}

/** Resolves when all of it is in force. */
async function untilSeen(cluster: TestApiServer): Promise<void> {
  await eventually(async () => (await imageOf(cluster, 'g0')) === 'else:1', patience);
  await eventually(() => imageOf(cluster, 'late'), patience);
  await eventually(() => imageOf(cluster, 'g3'), patience);
  await eventually(() => cluster.get(`${services}/g109-gateway`), patience);
  // All that is left to write for a deleted gateway is the count of members in its group's status.
  await eventually(async () => (await cluster.get(`${customPath}/hydrogengroups/chat`)).status.gateways === count - 1);
}

/** For each expired version of gateways, the milliseconds until they were listed again. */
function expiries({ lines }: TestOperator): number[] {
  const failed = lines.filter(
    ({ msg, resource }) => resource === 'hydrogengateways' && msg.startsWith('list or watch failed'),
  );
  return failed.filter(({ err }) => err.status === 410).map(({ delayMs }) => delayMs);
}

async function answered(running: TestOperator): Promise<readonly [lists: number, watches: number]> {
  const of = (verb: string): Promise<number> => callsOf(running, { verb, resource: 'hydrogengateways', status: '200' });
  return [await of('LIST'), await of('WATCH')];
}

test('re-lists once when its version was compacted while the connection was cut, and loses nothing', {
  skip,
}, async () => {
  await using cluster = await startCluster();
  await using proxy = await startTcpProxy(Number(new URL(cluster.url).port));
  const kubeconfig = await throughProxy(await asOperator(cluster), proxy);
  await put(cluster, group());
  await using running = startOperator(kubeconfig);
  await fill(cluster, running, proxy);
  const [listsBefore, watchesBefore] = await answered(running);
  proxy.refuse(true);
  proxy.cut();
  // The API server's cache keeps what etcd has compacted, until it restarts.
  await changeUnseen(cluster, async () => {
    await cluster.stop();
    await cluster.start();
  });
  assert.notEqual(await imageOf(cluster, 'g0'), 'else:1');
  proxy.refuse(false);
  await untilSeen(cluster);

  // However long the connection was cut, the list follows as soon as the server says that the version has expired.
  assert.deepEqual(expiries(running), [0]);
  // Two pages, the watch whose successful answer then reported the expiry, and the watch that continues.
  const [listsAfter, watchesAfter] = await answered(running);
  assert.equal(listsAfter - listsBefore, 2);
  assert.ok(watchesAfter - watchesBefore <= 2, `${watchesAfter - watchesBefore} watches`);
  await eventually(async () => {
    const calls = await callsOf(running);
    await holds(async () => (await callsOf(running)) === calls, 1000);
  }, patience);
});

test('re-lists when its version was compacted while the connection was silent, and loses nothing', {
  skip,
}, async () => {
  // Without the API server's cache, every watch reads etcd, which refuses versions that it has compacted.
  await using cluster = await startCluster({ flags: ['--watch-cache=false'] });
  await using proxy = await startTcpProxy(Number(new URL(cluster.url).port));
  const kubeconfig = await throughProxy(await asOperator(cluster), proxy);
  await put(cluster, group());
  // Longer than the changes take on a busy machine: they must be over before the operator notices the silence.
  const inactivityMs = 10_000;
  await using running = startOperator(kubeconfig, { timing: { inactivityMs } });
  await fill(cluster, running, proxy);
  proxy.freeze();
  const [listsBefore] = await answered(running);
  await changeUnseen(cluster);
  await untilSeen(cluster);
  assert.deepEqual(expiries(running), [0]);
  const [listsAfter] = await answered(running);
  assert.equal(listsAfter - listsBefore, 2);

  // Each silent watch is replaced once per silence limit, and no more often.
  const [before, startedMs] = [await callsOf(running), performance.now()];
  await holds(() => true, 2 * inactivityMs);
  const rounds = Math.ceil((performance.now() - startedMs) / inactivityMs) + 1;
  const made = (await callsOf(running)) - before;
  assert.ok(made <= watches * rounds, `${made} calls in ${rounds} rounds`);
});

test('restarts a list whose next page has expired, and drops what was deleted from its first page', {
  skip,
}, async () => {
  await using cluster = await startCluster({ flags: ['--watch-cache=false'] });
  const path = '/api/v1/namespaces/default/configmaps';
  const create = async (name: string): Promise<void> => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { listed: 'yes' } } };
    assert.equal((await cluster.call('POST', path, body)).status, 201);
  };
  const names = Array.from({ length: 250 }, (_, index) => `c${`${index}`.padStart(3, '0')}`);
  await Promise.all(names.map(create));
  const kube = createKube({ kubeconfig: cluster.kubeconfig });
  let pages = 0;
  const changing: Pick<Kube, 'pages' | 'watch'> = {
    watch: kube.watch,
    pages: async function* (...args) {
      for await (const page of kube.pages(...args)) {
        pages += 1;
        yield page;
        if (pages !== 1) continue;
        for (const name of ['c000', 'c200']) await cluster.call('DELETE', `${path}/${name}`);
        await create('c300');
        await cluster.compact();
      }
    },
  };
  const failures: unknown[] = [];
  const reflector = new Reflector(changing, {
    type: childTypeOf({ apiVersion: 'v1', kind: 'ConfigMap' }),
    labelSelector: 'listed',
    transform: (object) => object,
    onChange: () => undefined,
    onFailure: (error) => failures.push(error),
    onBug: (error) => failures.push(error),
  });
  try {
    reflector.start();
    await reflector.synced;
    const kept = [...reflector.objects.values()].map(({ metadata }) => metadata.name).sort();
    assert.deepEqual(kept, [...names.filter((name) => name !== 'c000' && name !== 'c200'), 'c300']);
    assert.deepEqual(
      failures.map((error) => (error as { status?: number }).status),
      [410],
    );
    assert.match(String(failures[0]), /continue parameter is too old/);
    assert.equal(pages, 1 + 3);
    // It watches from the second list on.
    await create('c301');
    await eventually(() => reflector.objects.has('ConfigMap/default/c301'));
  } finally {
    await reflector.stop();
    kube.close();
  }
});
