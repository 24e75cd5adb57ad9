/** The cluster of a pod: found by its environment and the files of its service account, without client-node. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { findInCluster } from '../../operator/kube-in-cluster.ts';
import { root } from '../kit/hydrogen.ts';

async function account(token: string): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-account-'));
  await writeFile(join(folder, 'token'), `${token}\n`);
  await writeFile(join(folder, 'ca.crt'), 'a certificate');
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

function within<T>(env: Record<string, string>, fn: () => T): T {
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    return fn();
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

test('a pod finds its server, also by an IPv6 address, and shows the token of now', async () => {
  await using files = await account('first');
  const find = (host: string, port: string) =>
    within({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }, () =>
      findInCluster({ serviceAccount: files.folder }),
    );
  const cluster = find('10.0.0.1', '443');
  assert.equal(cluster?.server.href, 'https://10.0.0.1/');
  assert.equal(find('fd00::1', '6443')?.server.href, 'https://[fd00::1]:6443/');
  const first = await cluster?.identify();
  assert.deepEqual(first, { headers: { authorization: 'Bearer first' }, tls: { ca: 'a certificate' } });
  await writeFile(join(files.folder, 'token'), 'second');
  assert.equal((await cluster?.identify())?.headers.authorization, 'Bearer second');
});

test('a process that is in no pod, or in one without a token, finds none', async () => {
  await using files = await account('token');
  assert.equal(findInCluster({ serviceAccount: files.folder }), undefined);
  const there = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };
  assert.equal(
    within(there, () => findInCluster({ serviceAccount: '/nowhere' })),
    undefined,
  );
});

test('a pod loads nothing of client-node', async () => {
  await using files = await account('token');
  const script = `
    import { createRequire } from 'node:module';
    import { createKube } from './operator/kube.ts';
    import './cli/operator.ts';
    createKube({ serviceAccount: process.argv[1] }).close();
    const loaded = Object.keys(createRequire(process.cwd() + '/package.json').cache);
    console.log(JSON.stringify([...new Set(loaded.map((path) => /node_modules.((?:@[^/]+.)?[^/]+)/.exec(path)?.[1]))]));`;

  const args = ['--input-type=module-typescript', '-e', script, files.folder];
  const env = { ...process.env, KUBERNETES_SERVICE_HOST: '127.0.0.1' };
  const loaded = JSON.parse(execFileSync(process.execPath, args, { cwd: root, env }).toString()) as string[];
  assert.ok(loaded.includes('cdk8s-plus-28'), loaded.join());
  for (const heavy of ['@kubernetes/client-node', 'undici', 'fastify', 'ws', 'pino-pretty']) {
    assert.ok(!loaded.includes(heavy), heavy);
  }
});
