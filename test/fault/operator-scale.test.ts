/**
 * A thousand gateways at once before a real API server, an operator that is started again, and what was changed while it
 * was away. The operator is the one that ships, in a process of its own.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { writeServiceAccount } from '../../bench/operator/cluster.ts';
import {
  type OperatorFigures,
  type OperatorImage,
  type OperatorProcess,
  shipOperator,
  startOperatorProcess,
} from '../../bench/operator/process.ts';
import { startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { eventually } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { say } from '../kit/program.ts';
import type { Any } from '../operator/kit/api.ts';
import { asOperator, customPath, put } from '../operator/kit/cluster.ts';
import { condition, gateway, group } from '../operator/kit/operator.ts';

const skip = await apiServerOrSkip();
const patience = { timeoutMs: 600_000, everyMs: 1000 };
const count = 1000;
/** Gateways that are created at the same time. */
const users = 16;
const deployments = '/apis/apps/v1/namespaces/shop/deployments';

/** The operator of a pod, which has a token and no kubeconfig. */
async function start(shipped: OperatorImage, cluster: TestApiServer, account: string): Promise<OperatorProcess> {
  const { hostname, port } = new URL(cluster.url);
  const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  return startOperatorProcess(shipped, ['--service-account', account], env);
}

function writesIn({ calls }: OperatorFigures): number {
  return ['PATCH', 'POST', 'PUT', 'DELETE'].reduce((sum, verb) => sum + (calls[verb] ?? 0), 0);
}

function memory({ process }: OperatorProcess): string {
  const { resident, peak } = process.memoryBytes();
  return `RSS ${Math.round(resident / 1e6)} MB, at most ${Math.round(peak / 1e6)} MB`;
}

/** Creates the gateways `g0` to `g999`, as fast as the server takes them. */
async function createAll(cluster: TestApiServer): Promise<void> {
  let next = 0;
  const create = async (): Promise<void> => {
    while (next < count) await put(cluster, { ...gateway(), metadata: { name: `g${next++}`, namespace: 'shop' } });
  };
  await Promise.all(Array.from({ length: users }, create));
}

/** Resolves when every gateway has its deployment and says so. */
async function untilInForce(cluster: TestApiServer): Promise<void> {
  let told = 0;
  await eventually(async () => {
    const { items } = await cluster.get(`${customPath}/hydrogengateways`);
    const done = items.filter((one: Any) => condition(one, 'Available')?.reason === 'PodsNotReady').length;
    if (done >= told + 250) say(`${done} of ${count} gateways are in force`);
    if (done >= told + 250) told = done;
    return done === count;
  }, patience);
}

/** Resolves when every object has been reconciled and nothing is left to do. */
async function atRest(operator: OperatorProcess): Promise<OperatorFigures> {
  let last: OperatorFigures | undefined;
  await eventually(
    async () => {
      const before = last;
      last = await operator.figures();
      return last.isAtRest && last.reconciles > count && last.reconciles === before?.reconciles;
    },
    // Longer than any delay except back-off.
    { ...patience, everyMs: 3000 },
  );
  return operator.figures();
}

test('a thousand gateways are created at once, a restart writes nothing, and drift during it is reverted', {
  skip,
}, async (context) => {
  const shipped = await shipOperator(root);
  await using stack = new AsyncDisposableStack();
  const account = await mkdtemp(join(tmpdir(), 'hydrogen-account-'));
  stack.defer(() => rm(account, { recursive: true, force: true }));
  await using cluster = await startCluster();
  await asOperator(cluster);
  await writeServiceAccount(cluster, account);
  await put(cluster, group());
  {
    await using operator = await start(shipped, cluster, account);
    const startedMs = performance.now();
    await createAll(cluster);
    say(`${count} gateways are created`);
    await untilInForce(cluster);
    const seconds = (performance.now() - startedMs) / 1000;
    context.diagnostic(`${count} gateways in force after ${seconds.toFixed(1)} s; ${memory(operator)}`);
    const { calls } = await atRest(operator);
    const each = Object.entries(calls).map(([verb, made]) => `${verb} ${(made / count).toFixed(2)}`);
    context.diagnostic(`requests for each: ${each.join(', ')}; ${memory(operator)} at rest`);
  }
  {
    await using again = await start(shipped, cluster, account);
    const figures = await atRest(again);
    context.diagnostic(`started again: ${writesIn(figures)} writes, ${figures.calls.LIST} lists; ${memory(again)}`);
    assert.equal(writesIn(figures), 0);
    assert.equal(figures.calls.GET ?? 0, 0);
  }

  const merge = { 'content-type': 'application/merge-patch+json' };
  await cluster.call('PATCH', `${deployments}/g7-gateway`, { spec: { revisionHistoryLimit: 9 } }, merge);
  await cluster.call('DELETE', '/api/v1/namespaces/shop/services/g8-gateway');
  await cluster.call('PATCH', `${deployments}/g9-gateway`, { metadata: { labels: { theirs: 'yes' } } }, merge);
  await using later = await start(shipped, cluster, account);
  const figures = await atRest(later);
  assert.equal((await cluster.get(`${deployments}/g7-gateway`)).spec.revisionHistoryLimit, 3);
  await cluster.get('/api/v1/namespaces/shop/services/g8-gateway');
  assert.equal((await cluster.get(`${deployments}/g9-gateway`)).metadata.labels.theirs, 'yes');
  assert.equal(writesIn(figures), 2);
});
