/** A new image of a release reaches a few workloads at a time. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { isRollingOut } from '../../operator/observe.ts';
import { appliedDigest } from '../../operator/resources.ts';
import { createUpgrades, parseUpgradeLimit } from '../../operator/upgrades.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { type Any, type FakeApi, startFakeApi } from './fake-api.ts';
import { condition, gateway, group, startOperator, type TestOperator } from './kit.ts';

test('a limit is a number of at least 1 or a percentage', () => {
  assert.deepEqual(parseUpgradeLimit('3'), { count: 3 });
  assert.deepEqual(parseUpgradeLimit('25%'), { percent: 25 });
  for (const text of ['0', '0%', '101%', '1.5', '-1', 'all', '']) {
    assert.throws(() => parseUpgradeLimit(text), /must be a number of at least 1 or a percentage such as 10%/, text);
  }
});

test('a share is of all workloads, and at least one', () => {
  let total = 3;
  const upgrades = createUpgrades({ limit: { percent: 50 }, total: () => total, onTurn: () => undefined });
  assert.deepEqual([upgrades.admit('a'), upgrades.admit('b')], [true, false]);
  total = 4;
  assert.deepEqual([upgrades.admit('b'), upgrades.admit('c')], [true, false]);
});

test('whoever waits is woken when a place is free, and one that is through twice frees one place', () => {
  const woken: string[] = [];
  const upgrades = createUpgrades({ limit: { count: 1 }, total: () => 9, onTurn: (key) => void woken.push(key) });
  upgrades.admit('a');
  upgrades.admit('b');
  upgrades.admit('c');
  assert.deepEqual([upgrades.running, upgrades.waiting], [1, 2]);
  upgrades.leave('a');
  upgrades.leave('a');
  assert.deepEqual([...new Set(woken)], ['b']);
  assert.deepEqual([upgrades.admit('b'), upgrades.admit('c')], [true, false]);
});

test('a turn that nobody takes goes to the next in line', () => {
  const woken: string[] = [];
  const upgrades = createUpgrades({ limit: { count: 1 }, total: () => 9, onTurn: (key) => void woken.push(key) });
  for (const key of ['a', 'b', 'c']) upgrades.admit(key);
  upgrades.leave('a');
  // It was made invalid, or deleted, while it waited.
  upgrades.leave('b');
  assert.deepEqual(woken, ['b', 'c']);
});

const names = ['a', 'b', 'c'];
const named = (name: string, more: Any = {}): Any => ({ ...gateway(more), metadata: { name, namespace: 'shop' } });
const imageOf = (api: FakeApi, name: string): string =>
  api.get('deployments', `${name}-gateway`).spec.template.spec.containers[0].image;
const images = (api: FakeApi): string => names.map((name) => imageOf(api, name)).join();

/** As the deployment controller would report a rollout that has come through, or is half done. */
function report(api: FakeApi, name: string, existing = 1): void {
  const { metadata } = api.get('deployments', `${name}-gateway`);
  const counts = { replicas: existing, readyReplicas: 1, availableReplicas: 1, updatedReplicas: 1 };
  const status = { observedGeneration: metadata.generation, ...counts };
  api.put('deployments', { metadata: { name: `${name}-gateway`, namespace: 'shop' }, status });
}

/** A cluster in which an operator of an earlier release has made three gateways. */
async function startUpgradable(): Promise<FakeApi> {
  const api = await startFakeApi();
  api.put('hydrogengroups', group());
  for (const name of names) api.put('hydrogengateways', named(name));
  await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
  await eventually(() => names.every((name) => api.get('deployments', `${name}-gateway`) !== undefined));
  for (const name of names) report(api, name);
  await eventually(() =>
    names.every((name) => condition(api.get('hydrogengateways', name), 'RollingOut')?.reason === 'RolledOut'),
  );
  return api;
}

/** Resolves when one gateway has the new image and the others wait for it. */
async function begun(api: FakeApi, { operator }: TestOperator): Promise<void> {
  await eventually(() => images(api).includes('release:2') && operator.upgrades.waiting === 2);
}

test('workloads get a new image one after another, each when the one before it has come through', async () => {
  await using api = await startUpgradable();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await begun(api, running);
  await holds(() => images(api).match(/release:2/g)?.length === 1, 200);
  const waiting = names.find((name) => imageOf(api, name) === 'release:1') ?? '';
  const told = condition(api.get('hydrogengateways', waiting), 'RollingOut');
  assert.deepEqual([told.status, told.reason], ['False', 'UpgradeWaiting']);
  assert.match(told.message, /Deployment\/.-gateway stays as it is, with release:1, until it is its turn/);

  for (const count of [1, 2, 3]) {
    await eventually(() => images(api).match(/release:2/g)?.length === count);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.upgrades.running === 0);
});

test('a change of the document goes through while the image waits', async () => {
  await using api = await startUpgradable();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await begun(api, running);
  const waiting = names.find((name) => imageOf(api, name) === 'release:1') ?? '';
  api.put('hydrogengateways', named(waiting, { replicas: 4 }));
  await eventually(() => api.get('deployments', `${waiting}-gateway`).spec.replicas === 4);
  assert.equal(imageOf(api, waiting), 'release:1');
});

test('an image that a document names is never waited with, and holds the pods at it', async () => {
  await using api = await startUpgradable();
  api.put('hydrogengateways', named('c', { template: { image: 'release:1' } }));
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await eventually(() => running.operator.upgrades.waiting === 1);
  for (let turn = 0; turn < 2; turn++) {
    await eventually(() => images(api).match(/release:2/g)?.length === turn + 1);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.upgrades.running === 0);
  assert.equal(images(api), 'release:2,release:2,release:1');
  api.put('hydrogengateways', named('c', { template: { image: 'mine:1' } }));
  await eventually(() => imageOf(api, 'c') === 'mine:1');
});

test('a rollout that does not come through holds the others back, also for the operator that takes over', async () => {
  await using api = await startUpgradable();
  {
    await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
    await begun(api, running);
    const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
    report(api, first, 2);
  }
  await using next = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await eventually(() => next.operator.upgrades.waiting === 2);
  await holds(() => images(api).match(/release:2/g)?.length === 1, 200);
});

test('a container that others have put before ours is neither upgraded nor taken for ours', async () => {
  await using api = await startUpgradable();
  const withSidecar = structuredClone(api.get('deployments', 'a-gateway'));
  withSidecar.spec.template.spec.containers.unshift({ name: 'proxy', image: 'sidecar:9' });
  api.put('deployments', withSidecar);
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  const ours = (name: string): string =>
    api
      .get('deployments', `${name}-gateway`)
      .spec.template.spec.containers.find((container: Any) => container.name === 'gateway').image;
  await eventually(() => names.some((name) => ours(name) === 'release:2'));
  for (const count of [1, 2, 3]) {
    await eventually(() => names.filter((name) => ours(name) === 'release:2').length === count);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.upgrades.running === 0 && running.operator.upgrades.waiting === 0);
});

test('a workload whose document becomes invalid, or that is deleted, gives its place to the next', async () => {
  await using api = await startUpgradable();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await begun(api, running);
  const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
  api.put('hydrogengateways', named(first, { statsIntervalSeconds: -1 }));
  await eventually(() => images(api).match(/release:2/g)?.length === 2);
  const second = names.find((name) => name !== first && imageOf(api, name) === 'release:2') ?? '';
  api.remove('hydrogengateways', second);
  const third = names.find((name) => name !== first && name !== second) ?? '';
  await eventually(() => imageOf(api, third) === 'release:2');
  report(api, third);
  await eventually(() => running.operator.upgrades.running === 0 && running.operator.upgrades.waiting === 0);
});

/** As if an earlier release had made something else of the same documents, all of whose children say so. */
function age(api: FakeApi): void {
  for (const plural of ['deployments', 'services', 'configmaps']) {
    for (const child of api.list(plural)) {
      const aged = structuredClone(child);
      aged.metadata.annotations[appliedDigest] = 'earlier';
      if (plural === 'deployments') aged.spec.template.spec.terminationGracePeriodSeconds = 1;
      api.put(plural, aged);
    }
  }
  for (const name of names) report(api, name);
}

const digests = (api: FakeApi): string[] =>
  names.filter((name) => api.get('deployments', `${name}-gateway`).metadata.annotations[appliedDigest] !== 'earlier');

test('whatever a release makes of unchanged documents is done in turn, and what waits stays whole as it is', async () => {
  await using api = await startUpgradable();
  age(api);
  // With the same image: it is something else in the pods that has changed.
  await using running = startOperator(api.kubeconfig, { image: 'release:1', upgradeLimit: { count: 1 } });
  await eventually(() => digests(api).length === 1 && running.operator.upgrades.waiting === 2);
  await holds(() => digests(api).length === 1, 200);
  const [first = ''] = digests(api);
  const aged = [...api.list('services'), ...api.list('configmaps')].filter(
    ({ metadata }) => metadata.annotations[appliedDigest] === 'earlier',
  );
  assert.ok(aged.length > 0 && aged.every(({ metadata }) => !metadata.name.startsWith(`${first}-`)));

  // What is missing is made all the same.
  const second = names.find((name) => name !== first) ?? '';
  api.remove('services', `${second}-gateway`);
  await eventually(() => api.get('services', `${second}-gateway`) !== undefined);
  assert.equal(digests(api).length, 1);

  for (const count of [1, 2, 3]) {
    await eventually(() => digests(api).length === count);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.upgrades.running === 0);
});

test('an image that a document names does not keep the rest of what a release changes from being done in turn', async () => {
  await using api = await startUpgradable();
  for (const name of names) api.put('hydrogengateways', named(name, { template: { image: 'release:1' } }));
  {
    await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
    await eventually(() => names.every((name) => api.get('hydrogengateways', name).status.observedGeneration === 2));
  }
  age(api);
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await eventually(() => digests(api).length === 1 && running.operator.upgrades.waiting === 2);
  assert.deepEqual(images(api), 'release:1,release:1,release:1');
});

test('what a release changes without touching a pod is through at once', async () => {
  await using api = await startUpgradable();
  for (const name of names) {
    const aged = structuredClone(api.get('deployments', `${name}-gateway`));
    aged.metadata.annotations[appliedDigest] = 'earlier';
    api.put('deployments', aged);
  }
  await using running = startOperator(api.kubeconfig, { image: 'release:1', upgradeLimit: { count: 1 } });
  await eventually(() => digests(api).length === 3);
  await eventually(() => running.operator.upgrades.running === 0 && running.operator.upgrades.waiting === 0);
});

test('a rollout that the user has begun holds no place of an operator that starts', async () => {
  await using api = await startUpgradable();
  api.put('hydrogengateways', named('a', { template: { image: 'mine:1' } }));
  {
    await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
    await eventually(() => imageOf(api, 'a') === 'mine:1');
  }
  report(api, 'a', 2);
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await eventually(() => images(api).includes('release:2'));
  await eventually(() => running.operator.upgrades.waiting === 1);
});

test('the share is of workloads, and a group without one is none', async () => {
  await using api = await startUpgradable();
  for (let index = 0; index < 7; index++) {
    api.put('hydrogengroups', { ...group(), metadata: { name: `g${index}`, namespace: 'shop' } });
  }
  // A fifth of the three workloads is one; of all eleven objects it would be two.
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { percent: 20 } });
  await begun(api, running);
  await holds(() => images(api).match(/release:2/g)?.length === 1, 200);
});

test('a stateful set is rolling out until its new revision is the current one, and not because a pod is missing', () => {
  const status = { observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2 };
  const set = (more: Any): Any => ({
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'nats', generation: 1 },
    spec: { replicas: 3 },
    status: { ...status, ...more },
  });
  assert.equal(isRollingOut(set({ currentRevision: 'b', updateRevision: 'b' })), false);
  assert.equal(isRollingOut(set({ currentRevision: 'a', updateRevision: 'b' })), true);
  assert.equal(isRollingOut(set({ currentRevision: 'b', updateRevision: 'b', observedGeneration: 0 })), true);
});

/** The gateway that waits for its turn, of three with an ingress each. */
async function startWaiting(): Promise<{
  api: FakeApi;
  running: TestOperator;
  waiting: string;
  change(host: string): void;
}> {
  const api = await startFakeApi();
  const withHost = (name: string, host: string): Any => named(name, { ingress: { hosts: [host] } });
  api.put('hydrogengroups', group());
  for (const name of names) api.put('hydrogengateways', withHost(name, 'old.example.com'));
  {
    await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
    await eventually(() => names.every((name) => api.get('deployments', `${name}-gateway`) !== undefined));
    for (const name of names) report(api, name);
    await eventually(() =>
      names.every((name) => condition(api.get('hydrogengateways', name), 'RollingOut')?.reason === 'RolledOut'),
    );
  }
  const running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await begun(api, running);
  const waiting = names.find((name) => imageOf(api, name) === 'release:1') ?? '';
  return { api, running, waiting, change: (host) => void api.put('hydrogengateways', withHost(waiting, host)) };
}

test('a change of a document that fails halfway while its workload waits is done again', async () => {
  const { api, running, waiting, change } = await startWaiting();
  await using _ = api;
  await using __ = running;
  let failures = 1;
  api.fault = ({ method, path }) =>
    method === 'PATCH' && path.includes('/ingresses/') && failures-- > 0 ? { status: 503, message: 'busy' } : undefined;
  change('new.example.com');
  await eventually(() => api.get('ingresses', `${waiting}-gateway`).spec.rules[0].host === 'new.example.com');
  assert.ok(failures <= 0);
  assert.equal(imageOf(api, waiting), 'release:1');
});

test('a refusal while a workload waits is told for as long as it lasts', async () => {
  const { api, running, waiting, change } = await startWaiting();
  await using _ = api;
  await using __ = running;
  let tries = 0;
  api.fault = ({ method, path }) => {
    if (method !== 'PATCH' || !path.includes('/ingresses/')) return undefined;
    tries++;
    return { status: 422, message: 'no such class' };
  };
  change('new.example.com');
  const accepted = (): string => condition(api.get('hydrogengateways', waiting), 'Accepted').reason;
  await eventually(() => tries >= 3);
  assert.equal(accepted(), 'ApplyRefused');
  api.fault = undefined;
  await eventually(() => accepted() === 'Accepted');
  assert.equal(api.get('ingresses', `${waiting}-gateway`).spec.rules[0].host, 'new.example.com');
});

test('a place is kept while deployments are listed anew, whatever is known of them from before', async () => {
  await using api = await startUpgradable();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', upgradeLimit: { count: 1 } });
  await begun(api, running);
  const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
  api.fault = ({ method, path, query }) =>
    method === 'GET' && path.endsWith('/deployments')
      ? { status: query.has('watch') ? 410 : 503, message: 'busy' }
      : undefined;
  api.expireWatches();
  await eventually(() => running.lines.some(({ resource }) => resource === 'deployments'));
  api.remove('hydrogengateways', first);
  await eventually(() => imagesBut(api, first).includes('release:2'));
  await holds(() => imagesBut(api, first).filter((image) => image === 'release:2').length === 1, 300);
});

/** Of the other two. */
function imagesBut(api: FakeApi, first: string): string[] {
  return names.filter((name) => name !== first).map((name) => imageOf(api, name));
}

test('a document that cannot be rendered any more gives its place to the next', async () => {
  const { api, running } = await startWaiting();
  await using _ = api;
  await using __ = running;
  const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
  const unrenderable = { ingress: { hosts: ['old.example.com'] }, endpoints: [{ path: '/a%2Fb' }] };
  api.put('hydrogengateways', named(first, unrenderable));
  await eventually(() => condition(api.get('hydrogengateways', first), 'Accepted')?.reason === 'InvalidSpec');
  await eventually(() => imagesBut(api, first).includes('release:2'));
});
