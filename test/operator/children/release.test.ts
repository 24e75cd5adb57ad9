/** Changes by a new release, document changes in between, and how long slots are kept. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { appliedDigest } from '../../../operator/kube/objects.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { type Any, type FakeApi, startFakeApi } from '../kit/api.ts';
import { condition, group, startOperator, type TestOperator } from '../kit/operator.ts';
import { begun, imageOf, images, named, names, report, startReleased } from './kit.ts';

/** Makes all children look as if an earlier release had rendered the same documents differently. */
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

test('changes by a release roll out in turn, and a waiting object keeps all of its children unchanged', async () => {
  await using api = await startReleased();
  age(api);
  // The image is the same: something else in the pods has changed.
  await using running = startOperator(api.kubeconfig, { image: 'release:1', rolloutLimit: { count: 1 } });
  await eventually(() => digests(api).length === 1 && running.operator.rollouts.waiting === 2);
  await holds(() => digests(api).length === 1, 200);
  const [first = ''] = digests(api);
  const aged = [...api.list('services'), ...api.list('configmaps')].filter(
    ({ metadata }) => metadata.annotations[appliedDigest] === 'earlier',
  );
  assert.ok(aged.length > 0 && aged.every(({ metadata }) => !metadata.name.startsWith(`${first}-`)));

  // Missing children are created nevertheless.
  const second = names.find((name) => name !== first) ?? '';
  api.remove('services', `${second}-gateway`);
  await eventually(() => api.get('services', `${second}-gateway`) !== undefined);
  assert.equal(digests(api).length, 1);

  for (const count of [1, 2, 3]) {
    await eventually(() => digests(api).length === count);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.rollouts.running === 0);
});

test('with an image in the document, other changes by a release still roll out in turn', async () => {
  await using api = await startReleased();
  for (const name of names) api.put('hydrogengateways', named(name, { template: { image: 'release:1' } }));
  {
    await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
    await eventually(() => names.every((name) => api.get('hydrogengateways', name).status.observedGeneration === 2));
  }
  age(api);
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await eventually(() => digests(api).length === 1 && running.operator.rollouts.waiting === 2);
  assert.deepEqual(images(api), 'release:1,release:1,release:1');
});

test('a change by a release that replaces no pods is complete at once', async () => {
  await using api = await startReleased();
  for (const name of names) {
    const aged = structuredClone(api.get('deployments', `${name}-gateway`));
    aged.metadata.annotations[appliedDigest] = 'earlier';
    api.put('deployments', aged);
  }
  await using running = startOperator(api.kubeconfig, { image: 'release:1', rolloutLimit: { count: 1 } });
  await eventually(() => digests(api).length === 3);
  await eventually(() => running.operator.rollouts.running === 0 && running.operator.rollouts.waiting === 0);
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
  const running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await begun(api, running);
  const waiting = names.find((name) => imageOf(api, name) === 'release:1') ?? '';
  return { api, running, waiting, change: (host) => void api.put('hydrogengateways', withHost(waiting, host)) };
}

test('a document change that fails halfway while its workload waits is applied again', async () => {
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

test('a refusal while a workload waits is reported for as long as it lasts', async () => {
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

test('a slot is kept while deployments are listed again', async () => {
  await using api = await startReleased();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
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

/** The other two gateways. */
function imagesBut(api: FakeApi, first: string): string[] {
  return names.filter((name) => name !== first).map((name) => imageOf(api, name));
}

test('a document that can no longer be rendered frees its slot', async () => {
  const { api, running } = await startWaiting();
  await using _ = api;
  await using __ = running;
  const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
  const unrenderable = { ingress: { hosts: ['old.example.com'] }, endpoints: [{ path: '/a%2Fb' }] };
  api.put('hydrogengateways', named(first, unrenderable));
  await eventually(() => condition(api.get('hydrogengateways', first), 'Accepted')?.reason === 'InvalidSpec');
  await eventually(() => imagesBut(api, first).includes('release:2'));
});
