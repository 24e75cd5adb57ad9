/** Leader election against a server with optimistic locking. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { createKube } from '../../../operator/kube/client.ts';
import { LeaderElection } from '../../../operator/kube/leader.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { type FakeApi, startFakeApi } from '../kit/api.ts';

interface Contender extends AsyncDisposable {
  readonly lease: LeaderElection;
  readonly happened: string[];
}

const timing = { durationMs: 1000, renewDeadlineMs: 600, retryMs: 50 };

function contend(api: FakeApi, identity: string): Contender {
  const kube = createKube({ kubeconfig: api.kubeconfig });
  const happened: string[] = [];
  const lease = new LeaderElection({
    kube,
    namespace: 'shop',
    name: 'hydrogen-operator',
    identity,
    onLeading: () => happened.push('leading'),
    onLost: () => happened.push('lost'),
    onFollowing: (holder) => happened.push(`following ${holder}`),
    onFailure: () => undefined,
    ...timing,
  });
  lease.start();
  return { lease, happened, [Symbol.asyncDispose]: async () => lease.stop().finally(() => kube.close()) };
}

test('of two contenders exactly one leads', async () => {
  await using api = await startFakeApi();
  await using a = contend(api, 'a');
  await using b = contend(api, 'b');
  await eventually(() => a.lease.isLeading || b.lease.isLeading);
  await holds(() => a.lease.isLeading !== b.lease.isLeading, 300);
});

test('a leader that stops hands over at once, and its times have microseconds', async () => {
  await using api = await startFakeApi();
  await using a = contend(api, 'a');
  await eventually(() => a.lease.isLeading);
  await using b = contend(api, 'b');
  await eventually(() => b.happened.includes('following a'));
  const { renewTime, acquireTime } = api.get('leases', 'hydrogen-operator').spec;
  for (const time of [renewTime, acquireTime]) assert.match(time, /\.\d{6}Z$/);
  const startMs = performance.now();
  await a.lease.stop();
  await eventually(() => b.lease.isLeading);
  assert.ok(performance.now() - startMs < timing.durationMs);
  assert.deepEqual(a.happened, ['leading']);
  assert.equal(api.get('leases', 'hydrogen-operator').spec.leaseTransitions, 1);
});

test('a leader that cannot renew gives up before another one may begin', async () => {
  await using api = await startFakeApi();
  await using a = contend(api, 'a');
  await eventually(() => a.lease.isLeading);
  await using b = contend(api, 'b');
  await eventually(() => b.happened.includes('following a'));
  api.fault = ({ method, body }) =>
    method === 'PUT' && body.spec.holderIdentity === 'a' ? { status: 503, message: 'unavailable' } : undefined;
  await eventually(() => {
    assert.ok(!(a.lease.isLeading && b.lease.isLeading));
    return a.happened.includes('lost');
  });
  assert.equal(b.lease.isLeading, false);
  await eventually(() => b.lease.isLeading);
  assert.equal(a.lease.isLeading, false);
});

test('a holder whose clock is wrong keeps its lease as long as it renews it', async () => {
  await using api = await startFakeApi();
  await using a = contend(api, 'a');
  await eventually(() => a.lease.isLeading);
  await using b = contend(api, 'b');
  await holds(() => !b.lease.isLeading && a.lease.isLeading, timing.durationMs * 1.5);
});
