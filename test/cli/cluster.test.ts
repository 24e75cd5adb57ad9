/** Commands about a cluster: which one they choose, what they print, and what they say when there is none. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';

import { selfSigned } from '../kit/certificate.ts';
import { eventually } from '../kit/eventually.ts';
import { root, startHydrogen } from '../kit/hydrogen.ts';
import { type FakeApi, startFakeApi } from '../operator/kit/api.ts';
import { gateway, group } from '../operator/kit/operator.ts';

const execute = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), 'hydrogen-cluster-'));
after(() => rm(folder, { recursive: true }));

async function run(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: unknown; text: string }> {
  await using command = startHydrogen(args, env);
  return { code: await command.exited, text: command.output() };
}

async function file(name: string, content: unknown): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === 'string' ? content : stringify(content));
  return path;
}

/** A kubeconfig with the context `here`, whose namespace is `shop`; none is current. */
function kubeconfig(server: string, user: object = {}, cluster: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    contexts: [{ name: 'here', context: { cluster: 'here', user: 'me', namespace: 'shop' } }],
    clusters: [{ name: 'here', cluster: { server, ...cluster } }],
    users: [{ name: 'me', user }],
  };
}

async function clusterWithGroups(): Promise<FakeApi> {
  const api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  api.put('hydrogengateways', {
    ...gateway({ groupRef: { name: 'gone' } }),
    metadata: { name: 'far', namespace: 'other' },
  });
  return api;
}

async function contextOf(api: FakeApi): Promise<string[]> {
  const { clusters } = parse(await readFile(api.kubeconfig, 'utf8'));
  const path = await file('context', kubeconfig(clusters[0].cluster.server, {}, clusters[0].cluster));
  return ['--kubeconfig', path, '--context', 'here'];
}

test('describe and status take the namespace of the context', async () => {
  await using api = await clusterWithGroups();
  const context = await contextOf(api);
  assert.deepEqual(await run(['describe', 'group/chat', ...context]), {
    code: 0,
    text: 'HydrogenGroup/chat  not reconciled yet: is the operator running?\n└─HydrogenGateway/chat  not reconciled yet: is the operator running?\n',
  });
  const { text } = await run(['status', ...context]);
  assert.equal(
    text,
    'NAMESPACE  GROUP  READY         GATEWAYS  PROCESSORS\nshop       chat   Unreconciled  0/1       0/0\n',
  );
});

test('status shows the groups of every namespace, also one that does not exist', async () => {
  await using api = await clusterWithGroups();
  const { code, text } = await run(['status', '-A', ...(await contextOf(api))]);
  assert.deepEqual(
    [code, text.match(/^(\S+ +\S+ +\S+)/gm)?.slice(1)],
    [0, ['other      gone   Missing', 'shop       chat   Unreconciled']],
  );
});

test('describe and status print JSON and YAML for programs', async () => {
  await using api = await clusterWithGroups();
  const context = await contextOf(api);
  const group = JSON.parse((await run(['describe', 'group/chat', '-o', 'json', ...context])).text);
  assert.deepEqual([group.kind, group.ready, group.members[0].name], ['HydrogenGroup', 'Unreconciled', 'chat']);
  assert.deepEqual(parse((await run(['describe', 'group/chat', '-o', 'yaml', ...context])).text), group);
  assert.deepEqual(JSON.parse((await run(['status', '-o', 'json', ...context])).text), [group]);
  const { code, text } = await run(['status', '-o', 'xml', ...context]);
  assert.deepEqual([code, /Allowed choices are json, yaml/.test(text)], [2, true]);
});

test('a missing or strange kubeconfig is one sentence that names the file, without a stack trace', async () => {
  const cases: [string, string | object, RegExp][] = [
    ['broken', 'a: [', /broken is not a kubeconfig: /],
    ['empty', '{}', /empty has no current context; it has no contexts$/m],
    ['text', 'just text', /text (is not a kubeconfig|has no current context)/],
    [
      'server',
      { ...kubeconfig('::::'), 'current-context': 'here' },
      /server of cluster here must be an https:\/\/ URL, is ::::/,
    ],
    [
      'other',
      { ...kubeconfig('https://127.0.0.1:1'), 'current-context': 'there' },
      /other has no context there; it has here$/m,
    ],
    [
      'cluster',
      { ...kubeconfig('https://127.0.0.1:1'), clusters: [], 'current-context': 'here' },
      /cluster: context here names the cluster here, which is absent/,
    ],
    [
      'user',
      { ...kubeconfig('https://127.0.0.1:1'), users: [], 'current-context': 'here' },
      /user: context here names the user me, who is absent/,
    ],
    [
      'authority',
      { ...kubeconfig('https://127.0.0.1:1', {}, { 'certificate-authority': '/nowhere' }), 'current-context': 'here' },
      /no credentials for the API server: .*\/nowhere/,
    ],
    [
      'plugin',
      {
        ...kubeconfig('https://127.0.0.1:1', {
          exec: { command: 'no-such-plugin', apiVersion: 'client.authentication.k8s.io/v1' },
        }),
        'current-context': 'here',
      },
      /no-such-plugin/,
    ],
    ['closed', { ...kubeconfig('https://127.0.0.1:1'), 'current-context': 'here' }, /ECONNREFUSED 127\.0\.0\.1:1/],
  ];
  for (const [name, content, expected] of cases) {
    const { code, text } = await run(['status', '--kubeconfig', await file(name, content)]);
    assert.match(text, expected, name);
    assert.doesNotMatch(text, /^\s+at /m, name);
    assert.notEqual(code, 0, name);
  }
  const missing = await run(['status', '--kubeconfig', join(folder, 'nowhere')]);
  assert.match(missing.text, /nowhere is not a kubeconfig: ENOENT/);
  const unknown = await run(['status', '--kubeconfig', join(folder, 'closed'), '--context', 'there']);
  assert.match(unknown.text, /closed has no context there; it has here/);
  const none = await run(['status'], { HOME: folder, KUBECONFIG: '' });
  assert.match(none.text, /there is no kubeconfig: ~\/\.kube\/config does not exist; set KUBECONFIG/);
});

test('a context without a user is trusted as far as its cluster says, and that no API server answers is said', async () => {
  const { certificate, key } = selfSigned('api', 'test', { hosts: ['127.0.0.1'] });
  const page = (_: unknown, response: ServerResponse): void => void response.end('<html>');
  await using stack = new AsyncDisposableStack();
  const listen = async (server: Server): Promise<string> => {
    stack.defer(() => void server.close());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const secure = await listen(createTlsServer({ cert: certificate, key }, page));
  const plain = await listen(createServer(page));
  const data = { 'certificate-authority-data': Buffer.from(certificate).toString('base64') };
  const cases: [server: string, cluster: object, RegExp][] = [
    [`https://${secure}`, data, /the answer is not JSON, as that of an API server is: Unexpected token '<'/],
    [`https://${secure}`, {}, /self-signed certificate/],
    [`https://${secure}`, { 'certificate-authority': '/nowhere' }, /no credentials for the API server: .*\/nowhere/],
    // As behind `kubectl proxy`.
    [`http://${plain}`, {}, /the answer is not JSON/],
    [`https://${plain}`, {}, /hydrogengroups\S*: no TLS: .*wrong version number$/m],
  ];
  for (const [server, cluster, expected] of cases) {
    const contexts = [{ name: 'here', context: { cluster: 'here' } }];
    const config = { ...kubeconfig(server, {}, cluster), contexts, users: undefined, 'current-context': 'here' };
    const { code, text } = await run(['status', '--kubeconfig', await file('nobody', config)]);
    assert.match(text, expected);
    assert.equal(code, 1);
  }
});

test('a command that waits for a silent cluster says so after a second', async () => {
  const held = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    void held.promise.then(() => response.writeHead(503).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const config = { ...kubeconfig(url, {}, { 'insecure-skip-tls-verify': true }), 'current-context': 'here' };
    await using command = startHydrogen(['status', '--kubeconfig', await file('silent', config)]);
    await eventually(() => command.output().startsWith('waiting for the cluster'));
    held.resolve();
    assert.equal(await command.exited, 1);
  } finally {
    server.close();
  }
});

test('colours are for terminals only, and NO_COLOR switches them off', async () => {
  await using api = await clusterWithGroups();
  const args = ['describe', 'group/chat', ...(await contextOf(api))].join(' ');
  const line = `${process.execPath} ${join(root, 'cli/hydrogen.js')} ${args}`;
  // Under CI Node knows which services show colours.
  const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...env } = process.env;
  const output = async (file: string, args: readonly string[], more: Record<string, string> = {}): Promise<string> =>
    (await execute(file, args, { env: { ...env, TERM: 'xterm-256color', ...more } })).stdout;
  const terminal = ['-qec', line, '/dev/null'];
  assert.ok((await output('script', terminal)).includes('\u001b[31m'));
  assert.ok(!(await output('script', terminal, { NO_COLOR: '1' })).includes('\u001b['));
  assert.ok(!(await output('sh', ['-c', line])).includes('\u001b['));
});
