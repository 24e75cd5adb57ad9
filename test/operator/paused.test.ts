/** What a paused object reports: whether its specification is in force, and what resuming would change. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';

import { eventually, holds } from '../kit/eventually.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';
import { type Any, type FakeApi, startFakeApi } from './kit/api.ts';
import { condition, gateway, group, startOperator } from './kit/operator.ts';
import { observe } from './nats/kit.ts';

const skip = await natsOrSkip();

/** `Unknown Paused` of a condition of the current generation. */
function verdict(api: FakeApi, plural: string, type: string): string {
  const object = api.get(plural, 'chat');
  const { status, reason, observedGeneration } = condition(object, type) ?? {};
  return observedGeneration === object?.metadata.generation ? `${status} ${reason}` : '';
}
const accepted = (api: FakeApi): string => verdict(api, 'hydrogengateways', 'Accepted');
const message = (api: FakeApi): string => condition(api.get('hydrogengateways', 'chat'), 'Accepted').message;
const isChild = ({ path }: Any): boolean => !path.includes('hydrogen.dev') && !path.includes('/events');
const childWrites = (api: FakeApi): number => api.writes().filter(isChild).length;

/** A cluster in which a gateway's specification is in force. */
async function startRunning(more: Any = {}): Promise<FakeApi> {
  const api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway(more));
  await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
  await eventually(() => accepted(api) === 'True Accepted' && api.get('deployments', 'chat-gateway') !== undefined);
  return api;
}

test('a paused object whose specification is in force says so', async () => {
  await using api = await startRunning();
  await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
  const before = childWrites(api);
  api.put('hydrogengateways', gateway({ paused: true }));
  await eventually(() => verdict(api, 'hydrogengateways', 'Paused') === 'True Paused');
  assert.equal(accepted(api), 'True Accepted');
  assert.equal(childWrites(api), before);
});

test('one whose specification has changed is not Ready, and lists what resuming would change', async () => {
  await using api = await startRunning({ autoscaling: { maxReplicas: 3 } });
  await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
  api.put('hydrogengateways', gateway({ paused: true, autoscaling: { maxReplicas: 9 } }));
  await eventually(() => accepted(api) === 'Unknown Paused');
  assert.match(message(api), /would create, change or delete .*HorizontalPodAutoscaler\/chat-gateway/);
  assert.doesNotMatch(message(api), /Deployment\//);
  assert.equal(verdict(api, 'hydrogengateways', 'Ready'), 'Unknown Paused');
  assert.equal(condition(api.get('hydrogengateways', 'chat'), 'Reconciling'), undefined);

  api.put('hydrogengateways', gateway({ paused: false, autoscaling: { maxReplicas: 9 } }));
  await eventually(() => accepted(api) === 'True Accepted');
  assert.equal(api.get('horizontalpodautoscalers', 'chat-gateway').spec.maxReplicas, 9);
});

test('one that would lose a child names it', async () => {
  await using api = await startRunning({ autoscaling: { maxReplicas: 3 } });
  await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
  const without = structuredClone(api.get('hydrogengateways', 'chat'));
  without.spec = { ...without.spec, paused: true, autoscaling: undefined };
  api.put('hydrogengateways', without);
  await eventually(() => accepted(api) === 'Unknown Paused');
  assert.match(message(api), /HorizontalPodAutoscaler\/chat-gateway/);
});

test('one that was paused before it had any children says that nothing exists yet', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway({ paused: true }));
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => verdict(api, 'hydrogengateways', 'Ready') === 'Unknown Paused');
  assert.match(message(api), /Deployment\/chat-gateway/);
  assert.deepEqual(api.list('deployments'), []);
});

test('a new release image does not count as a change to a paused object', async () => {
  await using api = await startRunning();
  api.put('hydrogengateways', gateway({ paused: true }));
  await using _ = startOperator(api.kubeconfig, { image: 'release:2' });
  await eventually(() => verdict(api, 'hydrogengateways', 'Paused') === 'True Paused');
  assert.equal(accepted(api), 'True Accepted');
});

test('a gateway whose group is paused reports the group, and what the group would change in it', async () => {
  await using api = await startRunning();
  await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
  api.put('hydrogengroups', group('nats://127.0.0.1:2', { paused: true }));
  await eventually(() => verdict(api, 'hydrogengateways', 'Paused') === 'True GroupPaused');
  await eventually(() => accepted(api) === 'Unknown Paused');
  assert.match(message(api), /ConfigMap\/chat-gateway/);
});

test('a paused group says whether its streams exist, and creates none before it resumes', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 100 } });
  const reachable = (): string => verdict(api, 'hydrogengroups', 'BusReachable');
  api.put('hydrogengroups', group(nats.url, { paused: true }));
  await eventually(() => reachable() === 'Unknown Paused');
  assert.match(
    condition(api.get('hydrogengroups', 'chat'), 'BusReachable').message,
    /stream HYDROGEN_shop_chat is missing; stream HYDROGEN_shop_chat_DLQ is missing; stream KV_\S+ is missing; stream HYDROGEN_shop_chat_WAIT is missing/,
  );
  assert.equal(verdict(api, 'hydrogengroups', 'Ready'), 'Unknown Paused');
  await holds(async () => (await observe(nats.url)).streams.length === 0, 300);

  api.put('hydrogengroups', group(nats.url, { paused: false }));
  await eventually(() => reachable() === 'True BusReachable');
  assert.equal((await observe(nats.url)).streams.length, 4);

  // While paused, other settings leave the streams unchanged.
  const changed = { paused: true, stream: { maxAgeSeconds: 7200 } };
  api.put('hydrogengroups', group(nats.url, changed));
  await eventually(() => reachable() === 'Unknown Paused');
  assert.match(condition(api.get('hydrogengroups', 'chat'), 'BusReachable').message, /HYDROGEN_shop_chat has max_age/);
  api.put('hydrogengroups', group(nats.url, { ...changed, paused: false }));
  await eventually(() => reachable() === 'True BusReachable');
});

test('a paused group whose streams cannot be inspected says why, until they can', { skip }, async () => {
  const account = (jetStream: string): string =>
    `accounts { A { users: [{user: a, password: a}]\n${jetStream} } }\nno_auth_user: a`;
  await using nats = await startNats({ config: account('') });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 100 } });
  api.put('hydrogengroups', group(nats.url, { paused: true }));
  const reachable = (): string => verdict(api, 'hydrogengroups', 'BusReachable');
  await eventually(() => reachable().startsWith('False'));
  assert.match(condition(api.get('hydrogengroups', 'chat'), 'BusReachable').message, /JetStream/);
  await writeFile(join(nats.storeDir, 'nats.conf'), account('jetstream: enabled'));
  process.kill(nats.pid ?? assert.fail('it runs'), 'SIGHUP');
  await eventually(() => reachable() === 'Unknown Paused');
});
