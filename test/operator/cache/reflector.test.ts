/** The reflector against a server that fails in every way that a real one does. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Reflector } from '../../../operator/cache/reflector.ts';
import { createTurn } from '../../../operator/cache/turn.ts';
import { createKube } from '../../../operator/kube/client.ts';
import { childTypeOf } from '../../../operator/kube/objects.ts';
import { eventually } from '../../kit/eventually.ts';
import { type FakeApi, startFakeApi } from '../kit/api.ts';

const type = childTypeOf({ apiVersion: 'v1', kind: 'ConfigMap' });

const configMap = (name: string, value = '1') => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'shop' },
  data: { value },
});

async function follow(api: FakeApi, onChange: () => void = () => undefined) {
  const kube = createKube({ kubeconfig: api.kubeconfig });
  const failures: unknown[] = [];
  const bugs: unknown[] = [];
  const reflector = new Reflector(kube, {
    type,
    transform: (object) => object,
    onChange,
    onFailure: (error) => failures.push(error),
    onBug: (error) => bugs.push(error),
    baseDelayMs: 5,
    inactivityMs: 200,
  });
  reflector.start();
  await reflector.synced;
  await eventually(() => api.watchCount === 1);
  const values = (): string[] => [...reflector.objects.values()].map(({ metadata }) => metadata.name).sort();
  return {
    reflector,
    failures,
    bugs,
    values,
    [Symbol.asyncDispose]: async () => {
      await reflector.stop();
      kube.close();
    },
  };
}

const lists = (api: FakeApi): number => api.seen.filter(({ query }) => query.get('watch') === null).length;

test('a cut watch resumes where it ended: changes in between arrive, without a list', async () => {
  await using api = await startFakeApi();
  api.put('configmaps', configMap('a'));
  await using followed = await follow(api);
  api.dropWatches();
  api.put('configmaps', configMap('b'));
  await eventually(() => followed.values().join() === 'a,b');
  assert.equal(lists(api), 1);
});

test('an expired version is listed again, and objects deleted in between are gone', async () => {
  await using api = await startFakeApi();
  api.put('configmaps', configMap('a'));
  api.put('configmaps', configMap('b'));
  await using followed = await follow(api);
  api.fault = ({ query }) => (query.get('watch') === '1' ? { status: 410, message: 'expired' } : undefined);
  api.expireWatches();
  api.remove('configmaps', 'a');
  await eventually(() => followed.values().join() === 'b');
  assert.ok(lists(api) >= 2);
});

test('a silent connection is closed and replaced', async () => {
  await using api = await startFakeApi();
  await using followed = await follow(api);
  const watches = (): number => api.seen.filter(({ query }) => query.get('watch') === '1').length;
  await eventually(() => watches() >= 2);
  assert.ok(followed.failures.length >= 1);
  assert.equal(lists(api), 1);
});

test('a server that throttles is asked again only after the time it names', async () => {
  await using api = await startFakeApi();
  let throttled = 0;
  await using followed = await follow(api);
  api.fault = ({ query }) => {
    if (query.get('watch') !== '1' || throttled > 0) return undefined;
    throttled += 1;
    return { status: 429, message: 'too many requests', headers: { 'retry-after': '1' } };
  };
  const startMs = performance.now();
  api.dropWatches();
  api.put('configmaps', configMap('a'));
  await eventually(() => followed.values().join() === 'a');
  assert.equal(throttled, 1);
  assert.ok(performance.now() - startMs >= 950);
});

test('a handler that throws is reported, and the watch goes on', async () => {
  await using api = await startFakeApi();
  await using followed = await follow(api, () => {
    throw new Error('handler');
  });
  api.put('configmaps', configMap('a'));
  await eventually(() => followed.bugs.length === 1);
  api.put('configmaps', configMap('b'));
  await eventually(() => followed.values().join() === 'a,b');
});

test('a refused list is retried without a hot loop', async () => {
  await using api = await startFakeApi();
  const kube = createKube({ kubeconfig: api.kubeconfig });
  api.fault = () => ({ status: 403, message: 'configmaps is forbidden: cannot list resource' });
  const messages: string[] = [];
  const reflector = new Reflector(kube, {
    type,
    transform: (object) => object,
    onChange: () => undefined,
    onFailure: (error) => messages.push((error as Error).message),
    onBug: () => undefined,
    baseDelayMs: 20,
  });
  const startMs = performance.now();
  reflector.start();
  await eventually(() => messages.length === 4);
  assert.ok(performance.now() - startMs > 60, 'each wait is longer than the one before');
  assert.match(messages[0] ?? '', /cannot list resource/);
  api.fault = undefined;
  await reflector.synced;
  await reflector.stop();
  kube.close();
});

test('the answer to a write is known at once, and older events of a slower watch are ignored', async () => {
  await using api = await startFakeApi();
  const first = api.put('configmaps', configMap('a', '1'));
  let changes = 0;
  await using followed = await follow(api, () => {
    changes += 1;
  });
  const value = (): unknown => {
    const object = followed.reflector.objects.get('ConfigMap/shop/a');
    return (object?.data as { value?: string } | undefined)?.value;
  };
  const answer = { ...first, data: { value: '3' }, metadata: { ...first.metadata, resourceVersion: '900' } };
  followed.reflector.learn(answer);
  assert.equal(value(), '3');
  api.put('configmaps', configMap('a', '2'));
  api.put('configmaps', configMap('b'));
  await eventually(() => followed.values().join() === 'a,b');
  assert.equal(value(), '3');
  assert.equal(changes, 3, 'the first list, the answer, and the other object');
});

test('an answer that the watch has overtaken is ignored', async () => {
  await using api = await startFakeApi();
  const answer = api.put('configmaps', configMap('a'));
  await using followed = await follow(api);
  api.remove('configmaps', 'a');
  await eventually(() => followed.values().join() === '');
  followed.reflector.learn(answer);
  assert.deepEqual(followed.values(), []);
});

test('lists that take turns never overlap, and a failed one does not delay the others', async () => {
  const turn = createTurn();
  const running: string[] = [];
  const order: string[] = [];
  const list = (name: string, fails = false) =>
    turn(async () => {
      running.push(name);
      assert.deepEqual(running, [name]);
      await setImmediate();
      running.pop();
      order.push(name);
      if (fails) throw new Error(name);
    });
  const results = await Promise.allSettled([list('a'), list('b', true), list('c')]);
  assert.deepEqual(order, ['a', 'b', 'c']);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});
