/** The cluster of a pod: found by its environment and the files of its service account, without client-node. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type ClusterOptions, findCluster } from '../../../operator/kube/find-cluster.ts';
import { findInCluster } from '../../../operator/kube/in-cluster.ts';
import { customTypes } from '../../../operator/kube/objects.ts';
import { Transport } from '../../../operator/kube/transport.ts';
import { eventually } from '../../kit/eventually.ts';
import { startHydrogen } from '../../kit/hydrogen.ts';
import { freePortBase } from '../../kit/ports.ts';
import { startFakeApi } from '../kit/api.ts';

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

test('a pod finds its server, even at an IPv6 address, and sends the current token', async () => {
  await using files = await account('first');
  const find = (host: string, port: string) =>
    within({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }, () =>
      findInCluster({ serviceAccount: files.folder }),
    );
  const cluster = find('10.0.0.1', '443');
  assert.equal(cluster?.server.href, 'https://10.0.0.1/');
  assert.equal(find('fd00::1', '6443')?.server.href, 'https://[fd00::1]:6443/');
  const first = await cluster?.credentials();
  assert.deepEqual(first, { headers: { authorization: 'Bearer first' }, tls: { ca: 'a certificate' } });
  await writeFile(join(files.folder, 'token'), 'second');
  assert.equal((await cluster?.credentials())?.headers.authorization, 'Bearer second');
});

test('a process outside a pod, or in a pod without a token, finds no cluster', async () => {
  await using files = await account('token');
  assert.equal(findInCluster({ serviceAccount: files.folder }), undefined);
  const there = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };
  assert.equal(
    within(there, () => findInCluster({ serviceAccount: '/nowhere' })),
    undefined,
  );
});

test('a named kubeconfig comes before the pod, and KUBECONFIG too unless a service account is named', async () => {
  await using api = await startFakeApi();
  await using files = await account('token');
  const find = (options: ClusterOptions, env: Record<string, string> = {}): string =>
    within({ KUBERNETES_SERVICE_HOST: '10.0.0.1', ...env }, () => findCluster(options).server.hostname);
  assert.equal(find({ kubeconfig: api.kubeconfig }), '127.0.0.1');
  assert.equal(find({}, { KUBECONFIG: api.kubeconfig }), '127.0.0.1');
  assert.equal(find({ serviceAccount: files.folder }, { KUBECONFIG: api.kubeconfig }), '10.0.0.1');
});

test('a named service account that does not exist is an error, and no other cluster is used', () => {
  const find = (): unknown =>
    within({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }, () => findCluster({ serviceAccount: '/nowhere' }));
  assert.throws(find, /\/nowhere contains no token/);
});

test('a renewed token is sent as soon as the old one is refused, and a refused one is not sent again', async () => {
  await using files = await account('first');
  let valid = 'Bearer first';
  const shown: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    shown.push(request.headers.authorization);
    response.writeHead(request.headers.authorization === valid ? 200 : 401).end('{"message": "Unauthorized"}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const inPod = { KUBERNETES_SERVICE_HOST: '127.0.0.1' };
  const { credentials } = within(inPod, () => findCluster({ serviceAccount: files.folder }));
  const transport = new Transport({ server: new URL(`http://127.0.0.1:${port}`), credentials }, {});
  try {
    const call = { method: 'GET', type: customTypes.HydrogenGroup, path: '/apis' };
    (await transport.send(call)).resume();
    valid = 'Bearer second';
    await writeFile(join(files.folder, 'token'), 'second');
    (await transport.send(call)).resume();
    assert.deepEqual(shown, ['Bearer first', 'Bearer first', 'Bearer second']);
    valid = 'Bearer third';
    await assert.rejects(transport.send(call), /Unauthorized/);
    assert.equal(shown.length, 4);
  } finally {
    transport.close();
    server.closeAllConnections();
    server.close();
  }
});

/** Files of packages that a process of the operator loads until its probes answer. */
async function loadedBy(args: readonly string[], env: Record<string, string> = {}): Promise<string[]> {
  const hook = `
    import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) {
      const [, loaded] = /.*\\/node_modules\\/(.*)/.exec(url) ?? [];
      if (loaded) process.stderr.write('loaded ' + loaded + '\\n');
      return next(url, context);
    } });`;
  const port = await freePortBase();
  const own = ['operator', '--probe-port', `${port}`, '--host', '127.0.0.1', '--no-leader-elect'];
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hook)}`;
  await using operator = startHydrogen([...own, ...args], { ...env, NODE_OPTIONS });
  await eventually(async () => (await fetch(`http://127.0.0.1:${port}/livez`)).ok, { timeoutMs: 30_000 });
  return [...operator.output().matchAll(/^loaded (.*)$/gm)].map(([, file = '']) => file);
}

test('a pod loads neither client-node nor the code of other roles, and only the L1 classes of cdk8s-plus', async () => {
  await using files = await account('token');
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' };
  const loaded = await loadedBy(['--service-account', files.folder], env);
  const packages = new Set(loaded.map((file) => /^(@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? ''));
  for (const needed of ['cdk8s', 'nats', 'pino']) assert.ok(packages.has(needed), needed);
  const unwanted = ['@kubernetes/client-node', 'undici', 'fastify', 'ws', 'pino-pretty'];
  assert.deepEqual(
    unwanted.filter((name) => packages.has(name)),
    [],
  );
  assert.deepEqual(
    loaded.filter((file) => file.startsWith('cdk8s-plus-28/')),
    ['cdk8s-plus-28/lib/imports/k8s.js'],
  );
});

test('only a kubeconfig loads client-node', async () => {
  await using api = await startFakeApi();
  const loaded = await loadedBy(['--kubeconfig', api.kubeconfig]);
  assert.ok(loaded.some((file) => file.startsWith('@kubernetes/client-node/')));
});
