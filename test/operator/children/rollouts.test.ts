/** The image of a new release rolls out to a few workloads at a time. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { createRollouts, parseRolloutLimit } from '../../../operator/children/rollouts.ts';
import { isRollingOut } from '../../../operator/status/workload.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import type { Any } from '../kit/api.ts';
import { condition, group, startOperator } from '../kit/operator.ts';
import { begun, imageOf, images, named, names, report, startReleased } from './kit.ts';

test('a limit is a number of at least 1 or a percentage', () => {
  assert.deepEqual(parseRolloutLimit('3'), { count: 3 });
  assert.deepEqual(parseRolloutLimit('25%'), { percent: 25 });
  for (const text of ['0', '0%', '101%', '1.5', '-1', 'all', '']) {
    assert.throws(() => parseRolloutLimit(text), /must be a number of at least 1 or a percentage such as 10%/, text);
  }
});

test('a percentage applies to all workloads, and is at least one', () => {
  let total = 3;
  const rollouts = createRollouts({ limit: { percent: 50 }, total: () => total, onTurn: () => undefined });
  assert.deepEqual([rollouts.admit('a'), rollouts.admit('b')], [true, false]);
  total = 4;
  assert.deepEqual([rollouts.admit('b'), rollouts.admit('c')], [true, false]);
});

test('waiting objects are woken when a slot is free, and leaving twice frees one slot', () => {
  const woken: string[] = [];
  const rollouts = createRollouts({ limit: { count: 1 }, total: () => 9, onTurn: (key) => void woken.push(key) });
  rollouts.admit('a');
  rollouts.admit('b');
  rollouts.admit('c');
  assert.deepEqual([rollouts.running, rollouts.waiting], [1, 2]);
  rollouts.leave('a');
  rollouts.leave('a');
  assert.deepEqual([...new Set(woken)], ['b']);
  assert.deepEqual([rollouts.admit('b'), rollouts.admit('c')], [true, false]);
});

test('those that wait are woken when a slot is stuck, and when it no longer is', () => {
  const woken: string[] = [];
  const rollouts = createRollouts({ limit: { count: 1 }, total: () => 9, onTurn: (key) => void woken.push(key) });
  for (const key of ['a', 'b', 'c']) rollouts.admit(key);
  rollouts.setStuck('a', true);
  rollouts.setStuck('a', true);
  // It has no slot.
  rollouts.setStuck('b', true);
  assert.deepEqual([woken.splice(0), rollouts.stuck, rollouts.holders], [['b', 'c'], ['a'], ['a']]);
  rollouts.setStuck('a', false);
  assert.deepEqual([woken.splice(0), rollouts.stuck], [['b', 'c'], []]);
  rollouts.setStuck('a', true);
  rollouts.leave('a');
  assert.deepEqual([rollouts.stuck, rollouts.holders], [[], []]);
});

test('a slot that is not taken goes to the next in line', () => {
  const woken: string[] = [];
  const rollouts = createRollouts({ limit: { count: 1 }, total: () => 9, onTurn: (key) => void woken.push(key) });
  for (const key of ['a', 'b', 'c']) rollouts.admit(key);
  rollouts.leave('a');
  // It became invalid or was deleted while it waited.
  rollouts.leave('b');
  assert.deepEqual(woken, ['b', 'c']);
});

test('workloads get a new image one after another, each when the rollout before it is complete', async () => {
  await using api = await startReleased();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await begun(api, running);
  await holds(() => images(api).match(/release:2/g)?.length === 1, 200);
  const waiting = names.find((name) => imageOf(api, name) === 'release:1') ?? '';
  const told = condition(api.get('hydrogengateways', waiting), 'RollingOut');
  assert.deepEqual([told.status, told.reason], ['False', 'RolloutWaiting']);
  assert.match(told.message, /Deployment\/.-gateway keeps release:1 and its settings until it is its turn/);

  for (const count of [1, 2, 3]) {
    await eventually(() => images(api).match(/release:2/g)?.length === count);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.rollouts.running === 0);
});

test('a document change is applied while the image waits', async () => {
  await using api = await startReleased();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await begun(api, running);
  const waiting = names.find((name) => imageOf(api, name) === 'release:1') ?? '';
  api.put('hydrogengateways', named(waiting, { replicas: 4 }));
  await eventually(() => api.get('deployments', `${waiting}-gateway`).spec.replicas === 4);
  assert.equal(imageOf(api, waiting), 'release:1');
});

test('an image in the document is applied at once, and the pods keep it', async () => {
  await using api = await startReleased();
  api.put('hydrogengateways', named('c', { template: { image: 'release:1' } }));
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await eventually(() => running.operator.rollouts.waiting === 1);
  for (let turn = 0; turn < 2; turn++) {
    await eventually(() => images(api).match(/release:2/g)?.length === turn + 1);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.rollouts.running === 0);
  assert.equal(images(api), 'release:2,release:2,release:1');
  api.put('hydrogengateways', named('c', { template: { image: 'mine:1' } }));
  await eventually(() => imageOf(api, 'c') === 'mine:1');
});

test('a rollout that gets stuck holds back the others, even after another operator takes over', async () => {
  await using api = await startReleased();
  {
    await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
    await begun(api, running);
    const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
    report(api, first, 2);
  }
  await using next = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await eventually(() => next.operator.rollouts.waiting === 2);
  await holds(() => images(api).match(/release:2/g)?.length === 1, 200);
});

test('those that wait name the rollout that is stuck, and a metric lists it', async () => {
  await using api = await startReleased();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await begun(api, running);
  const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
  report(api, first, 2);
  const stuck = [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' }];
  api.put('deployments', {
    metadata: { name: `${first}-gateway`, namespace: 'shop' },
    status: { ...api.get('deployments', `${first}-gateway`).status, conditions: stuck },
  });
  const others = names.filter((name) => name !== first);
  const told = (name: string): string => condition(api.get('hydrogengateways', name), 'RollingOut').message;
  const cause = `the rollout of HydrogenGateway/shop/${first} makes no progress and holds it back`;
  await eventually(() => others.every((name) => told(name).includes(cause)));
  const metrics = await running.metrics.registry.metrics();
  const holder = `hydrogen_operator_rollout_holder{kind="HydrogenGateway",namespace="shop",name="${first}"} 1`;
  assert.ok(metrics.includes(holder), metrics);
});

test('a workload that was impaired before takes no slot, even after another operator takes over', async () => {
  await using api = await startReleased();
  const { metadata } = api.get('deployments', 'a-gateway');
  const none = { replicas: 1, readyReplicas: 0, availableReplicas: 0, updatedReplicas: 1 };
  api.put('deployments', {
    metadata: { name: 'a-gateway', namespace: 'shop' },
    status: { observedGeneration: metadata.generation, ...none },
  });
  {
    await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
    await eventually(() => images(api).match(/release:2/g)?.length === 2 && imageOf(api, 'a') === 'release:2');
    await eventually(() => running.operator.rollouts.waiting === 1);
    assert.doesNotMatch(running.operator.rollouts.holders.join(), /\/a$/);
  }
  await using next = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await eventually(() => next.operator.rollouts.waiting === 1);
  for (const name of ['b', 'c']) report(api, name);
  await eventually(() => images(api) === 'release:2,release:2,release:2');
});

test('a container that others have inserted before ours is neither changed nor mistaken for ours', async () => {
  await using api = await startReleased();
  const withSidecar = structuredClone(api.get('deployments', 'a-gateway'));
  withSidecar.spec.template.spec.containers.unshift({ name: 'proxy', image: 'sidecar:9' });
  api.put('deployments', withSidecar);
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  const ours = (name: string): string =>
    api
      .get('deployments', `${name}-gateway`)
      .spec.template.spec.containers.find((container: Any) => container.name === 'gateway').image;
  await eventually(() => names.some((name) => ours(name) === 'release:2'));
  for (const count of [1, 2, 3]) {
    await eventually(() => names.filter((name) => ours(name) === 'release:2').length === count);
    for (const name of names) report(api, name);
  }
  await eventually(() => running.operator.rollouts.running === 0 && running.operator.rollouts.waiting === 0);
});

test('a workload whose document becomes invalid or is deleted frees its slot', async () => {
  await using api = await startReleased();
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await begun(api, running);
  const first = names.find((name) => imageOf(api, name) === 'release:2') ?? '';
  api.put('hydrogengateways', named(first, { statsIntervalSeconds: -1 }));
  await eventually(() => images(api).match(/release:2/g)?.length === 2);
  const second = names.find((name) => name !== first && imageOf(api, name) === 'release:2') ?? '';
  api.remove('hydrogengateways', second);
  const third = names.find((name) => name !== first && name !== second) ?? '';
  await eventually(() => imageOf(api, third) === 'release:2');
  report(api, third);
  await eventually(() => running.operator.rollouts.running === 0 && running.operator.rollouts.waiting === 0);
});

test('a rollout that the user started takes no slot when the operator starts', async () => {
  await using api = await startReleased();
  api.put('hydrogengateways', named('a', { template: { image: 'mine:1' } }));
  {
    await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
    await eventually(() => imageOf(api, 'a') === 'mine:1');
  }
  report(api, 'a', 2);
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { count: 1 } });
  await eventually(() => images(api).includes('release:2'));
  await eventually(() => running.operator.rollouts.waiting === 1);
});

test('the percentage counts only workloads, so not a group without one', async () => {
  await using api = await startReleased();
  for (let index = 0; index < 7; index++) {
    api.put('hydrogengroups', { ...group(), metadata: { name: `g${index}`, namespace: 'shop' } });
  }
  // A fifth of the three workloads is one; of all eleven objects it would be two.
  await using running = startOperator(api.kubeconfig, { image: 'release:2', rolloutLimit: { percent: 20 } });
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
