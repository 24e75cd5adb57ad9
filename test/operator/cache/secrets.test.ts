/**
 * Secrets that documents name: missing ones are reported, nothing is applied without them, and new ones are noticed.
 */

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually, holds } from '../../kit/eventually.ts';
import { type Any, type FakeApi, startFakeApi } from '../kit/api.ts';
import { condition, gateway, group, hideSecrets, startOperator } from '../kit/operator.ts';

const authorized = (): Any =>
  gateway({
    authorizer: {
      http: {
        url: 'http://auth/',
        headers: [{ name: 'Authorization', valueFrom: { secretKeyRef: { name: 'auth', key: 'token' } } }],
      },
    },
  });

const accepted = (api: FakeApi): Any => condition(api.get('hydrogengateways', 'chat'), 'Accepted');
const putSecret = (api: FakeApi, name: string, key: string, value = 'dGV4dA=='): Any =>
  api.put('secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'shop' },
    data: { [key]: value },
  });

test('a gateway waits for the secret and the key that it names, and reports them', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', authorized());
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => accepted(api)?.reason === 'SecretNotFound');
  assert.match(accepted(api).message, /there is no Secret\/auth in this namespace; create it with the key token/);
  assert.equal(condition(api.get('hydrogengateways', 'chat'), 'Reconciling')?.reason, 'SecretNotFound');
  putSecret(api, 'auth', 'other');
  await eventually(() => accepted(api).message.includes('Secret/auth has no key token'));
  assert.deepEqual(api.list('deployments'), []);
  putSecret(api, 'auth', 'token');
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined);
  await eventually(() => accepted(api).status === 'True');
});

test('a workload keeps running when its secret is deleted, and the condition reports it', async () => {
  await using api = await startFakeApi();
  putSecret(api, 'auth', 'token');
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', authorized());
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined);
  api.remove('secrets', 'auth');
  await eventually(() => accepted(api)?.reason === 'SecretNotFound');
  assert.ok(api.get('deployments', 'chat-gateway'));
});

test('a secret is read once for each version, and never if no document names it', async () => {
  await using api = await startFakeApi();
  putSecret(api, 'auth', 'token');
  putSecret(api, 'unrelated', 'password');
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', authorized());
  await using running = startOperator(api.kubeconfig, { timing: { resyncMs: 20 } });
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined);
  const reads = (name: string): number => api.seen.filter(({ path }) => path.endsWith(`/secrets/${name}`)).length;
  await holds(() => reads('auth') === 1, 200);
  const looked = (): number =>
    running.lines.filter(({ msg, object }) => msg === 'reconciled' && object.startsWith('HydrogenGateway')).length;
  const before = looked();
  putSecret(api, 'auth', 'token', 'bmV3');
  await eventually(() => looked() > before && reads('auth') === 2);
  assert.equal(reads('unrelated'), 0);
  assert.doesNotMatch(JSON.stringify(running.lines), /dGV4dA|bmV3|text/);
});

test('without permission to read secrets everything runs, unchecked', async () => {
  await using api = await startFakeApi();
  api.fault = hideSecrets;
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', authorized());
  await using _ = startOperator(api.kubeconfig);
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined);
  await eventually(() => accepted(api)?.status === 'True');
});

test('secrets that can be watched but not read are requested once for each version, and logged once', async () => {
  await using api = await startFakeApi();
  api.fault = ({ method, path }) =>
    method === 'GET' && path.endsWith('/secrets/auth')
      ? { status: 403, message: 'secrets "auth" is forbidden: User "o" cannot get resource "secrets" in API group ""' }
      : undefined;
  putSecret(api, 'auth', 'other');
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', authorized());
  await using running = startOperator(api.kubeconfig, { timing: { resyncMs: 20 } });
  await eventually(() => accepted(api)?.status === 'True');
  const reads = (): number => api.seen.filter(({ path }) => path.endsWith('/secrets/auth')).length;
  await holds(() => reads() === 1, 200);
  putSecret(api, 'auth', 'other', 'bmV3');
  await eventually(() => reads() === 2);
  assert.equal(running.lines.filter(({ msg }) => msg.startsWith('no permission to watch or read secrets')).length, 1);
});
