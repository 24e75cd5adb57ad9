/** `hydrogen connections` against real gateways: by URL, and through the port-forward of a cluster. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { after } from 'node:test';
import { parse as parseYaml } from 'yaml';

import { createMemoryBroker } from '../../runtime/bus/memory/memory.ts';
import { type Client, connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGateway, type TestGateway } from '../kit/gateway.ts';
import { root } from '../kit/hydrogen.ts';
import { createForwardingKubelet } from '../kit/port-forward.ts';
import { startFakeApi } from '../operator/kit/api.ts';
import { gateway as gatewayOf, group as groupOf } from '../operator/kit/operator.ts';

const folder = await mkdtemp(join(tmpdir(), 'hydrogen-connections-'));
after(() => rm(folder, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [join(root, 'cli/hydrogen.js'), 'connections', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  return { code: child.exitCode, out, err };
}

interface Group extends AsyncDisposable {
  readonly gateways: readonly TestGateway[];
  readonly clients: readonly Client[];
  /** Flags for the first gateway. */
  readonly at: readonly string[];
  ids(): Promise<string[]>;
}

/** Two gateways; `clients` are user/channel of each client, at alternate gateways. */
async function startGroup(clients: readonly string[], spec: Record<string, unknown> = {}): Promise<Group> {
  await using stack = new AsyncDisposableStack();
  const authorizer = stack.use(
    await startDestination((request) => {
      const { user, channel } = Object.fromEntries(request.json().query as [string, string][]);
      return { body: JSON.stringify({ user, channels: [channel] }) };
    }),
  );
  const broker = createMemoryBroker();
  const settings = { mode: 'ServerToClient', authorizer: { http: { url: authorizer.url } }, ...spec };
  const gateways: TestGateway[] = [];
  for (let i = 0; i < 2; i++)
    gateways.push(stack.use(await startGateway({ broker, isConsumed: false, spec: settings, secretsDir: folder })));
  await eventually(() => gateways.every(({ gateway }) => gateway.readiness.reason === undefined));
  const connected: Client[] = [];
  for (const [i, client] of clients.entries()) {
    const [user = '', channel = ''] = client.split('/');
    const path = `${i % 4 < 2 ? '/chat' : '/feed'}?user=${encodeURIComponent(user)}&channel=${channel}`;
    connected.push(stack.use(await connect((gateways[i % 2] ?? assert.fail()).url(path))));
  }
  const at = ['--url', gateways[0]?.managementUrl ?? ''];
  const kept = stack.move();
  return {
    gateways,
    clients: connected,
    at,
    ids: async () => {
      const { out } = await run(['list', ...at, '-o', 'json']);
      return (JSON.parse(out).items as { connection_id: string }[]).map((one) => one.connection_id);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const four = ['alice/red', 'bob/red', 'alice/blue', 'bob/blue'];

test('lists the connections of all gateways, as a table and for programs, filtered and page by page', async () => {
  await using group = await startGroup(four);
  const table = await run(['list', ...group.at]);
  assert.equal(table.code, 0, table.err);
  const [head = '', ...rows] = table.out.trimEnd().split('\n');
  assert.match(head, /^CONNECTION +ENDPOINT +USER +CHANNELS +STATE +ADDRESS +CONNECTED AT$/);
  assert.equal(rows.length, 4);
  assert.equal(rows.filter((row) => /\/feed +bob +blue +open/.test(row)).length, 1, table.out);
  assert.deepEqual(
    rows.map((row) => row.split(' ')[0]),
    await group.ids(),
  );

  const yaml = parseYaml(
    (await run(['list', ...group.at, '-o', 'yaml', '--user', 'alice', '--endpoint', '/feed'])).out,
  );
  assert.deepEqual([yaml.connections, yaml.items[0].user, yaml.items[0].channels], [1, 'alice', ['blue']]);
  const members = JSON.parse((await run(['list', ...group.at, '-o', 'json', '--channel', 'red'])).out);
  assert.deepEqual([members.connections, members.unanswered], [2, 0]);
  assert.equal((await run(['list', ...group.at, '--user', 'carol'])).out, 'no connections\n');

  const first = await run(['list', ...group.at, '--limit', '3']);
  const [, cursor = ''] =
    /^3 of 4 connections; continue with --cursor (\S+)$/m.exec(first.err) ?? assert.fail(first.err);
  const second = await run(['list', ...group.at, '--limit', '3', '--cursor', cursor]);
  assert.equal(second.out.trimEnd().split('\n').length, 2);
  assert.equal(second.err, '');
});

test('shows a connection of another gateway, and says when it is gone or no id', async () => {
  await using group = await startGroup(four);
  for (const id of await group.ids()) {
    const { code, out } = await run(['show', id, ...group.at, '-o', 'json']);
    assert.deepEqual([code, JSON.parse(out).connection_id], [0, id]);
    assert.match((await run(['show', id, ...group.at])).out, new RegExp(`^connection_id +${id}\n`));
  }
  assert.deepEqual(await run(['show', 'nonsense', ...group.at]), {
    code: 1,
    out: '',
    err: 'hydrogen: this is not a connection id\n',
  });
});

test('closes connections by id, by user, by channel and by endpoint, and only those', async () => {
  await using group = await startGroup([...four, 'carol/green', 'dave/green']);
  const [alice = assert.fail(), bob = assert.fail(), , , carol = assert.fail(), dave = assert.fail()] = group.clients;
  const would = await run(['disconnect', ...group.at, '--user', 'alice', '--channel', 'red', '--dry-run']);
  assert.match(would.out, /alice.*\nwould disconnect 1\n$/);
  const one = ['disconnect', ...group.at, '--code', '4000', '--reason', 'moved'];
  assert.equal((await run([...one, '--user', 'alice', '--channel', 'red'])).out, 'disconnected 1\n');
  assert.deepEqual(await alice.closed, { code: 4000, reason: 'moved' });
  assert.equal((await run([...one, '--endpoint', '/feed'])).out, 'disconnected 2\n');
  assert.equal((await run([...one, '--channel', 'green'])).out, 'disconnected 2\n');
  for (const client of [carol, dave]) assert.deepEqual(await client.closed, { code: 4000, reason: 'moved' });
  const [id = assert.fail(), ...others] = await group.ids();
  assert.deepEqual(others, []);
  assert.deepEqual(await run(['disconnect', id, ...group.at]), { code: 0, out: 'disconnected 1\n', err: '' });
  assert.deepEqual(await bob.closed, { code: 1008, reason: '' });
  const again = await run(['disconnect', id, ...group.at]);
  assert.deepEqual(again, { code: 1, out: 'disconnected 0\n', err: `${id}: this connection is closed\n` });
  assert.equal((await run([...one, '--user', 'alice'])).out, 'disconnected 0\n');
});

test('needs ids or a filter, and not both, and values that the API takes', async () => {
  const wrong: [string[], RegExp][] = [
    [['disconnect'], /name connections by their ids, or choose them/],
    [['disconnect', 'a', '--user', 'b'], /name connections by their ids, or choose them/],
    [['disconnect', 'a', '--code', '70000'], /It must be a whole number: 1000 to 4999/],
    [['list', '--limit', '0'], /It must be a whole number: 1 or more/],
    [['list', '--url', 'ftp://x'], /It must be a valid http:\/\/ or https:\/\/ URL/],
    [['list', '--url', 'http://x', '--context', 'y'], /cannot be used with option '--context/],
    [['list', '--url', 'http://x', '--token-file', join(folder, 'nowhere')], /nowhere: ENOENT/],
  ];
  for (const [args, expected] of wrong) {
    const { code, err } = await run(args);
    assert.equal(code, 2, args.join(' '));
    assert.match(err, expected);
  }
  await using group = await startGroup([]);
  const { code, err } = await run(['disconnect', '--user', 'a', ...group.at, '--code', '1001']);
  assert.deepEqual([code, err], [1, 'hydrogen: code must be 1000 or 3000 to 4999\n']);
});

test('presents the token of a file, and says what is wrong with it', async () => {
  const tokens = join(folder, 'tokens');
  await rm(tokens, { recursive: true, force: true });
  await mkdir(tokens);
  await writeFile(join(tokens, 'reader'), 'read-token\n');
  const management = { tokens: [{ name: 'r', secretRef: { name: 'tokens', key: 'reader' }, scopes: ['Read'] }] };
  await using group = await startGroup(four, { management });
  const refused = await run(['list', ...group.at]);
  assert.deepEqual(
    [refused.code, refused.err],
    [1, 'hydrogen: the bearer token is missing or wrong: give one with --token-file\n'],
  );
  const flag = ['--token-file', join(tokens, 'reader')];
  assert.equal((await run(['list', ...group.at, ...flag])).code, 0);
  assert.equal((await run(['list', ...group.at], { HYDROGEN_TOKEN_FILE: join(tokens, 'reader') })).code, 0);
  const { code, err } = await run(['disconnect', '--user', 'alice', ...group.at, ...flag]);
  assert.deepEqual([code, err], [1, 'hydrogen: this token does not have the scope: this needs the scope Disconnect\n']);
});

test('says where nobody listens, who is no gateway, and when gateways did not answer', async () => {
  const nobody = await run(['list', '--url', 'http://127.0.0.1:1']);
  assert.equal(nobody.code, 1);
  assert.match(
    nobody.err,
    /^hydrogen: the management API could not be reached: http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/,
  );
  let answer: { status: number; body: string } = { status: 200, body: '<html>' };
  const server = createServer((_request, response) => response.writeHead(answer.status).end(answer.body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const at = ['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`];
    assert.match((await run(['list', ...at])).err, /answers 200, and not as a gateway does\n$/);
    answer = { status: 200, body: JSON.stringify({ connections: 0, unanswered: 2, items: [] }) };
    const partial = await run(['list', ...at]);
    assert.deepEqual([partial.code, partial.err], [1, '2 gateways did not answer: their connections are left out\n']);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('reaches the gateways of a cluster by port-forward to a ready pod, with the token of their secret', async () => {
  await mkdir(join(folder, 'chat-token'), { recursive: true });
  await writeFile(join(folder, 'chat-token/token'), 'of-the-cluster');
  const management = { tokenSecretRef: { name: 'chat-token', key: 'token' } };
  await using group = await startGroup(four, { management });
  await using api = await startFakeApi();
  const kubelet = createForwardingKubelet();
  api.onUpgrade(kubelet.handle);
  const at = ['--kubeconfig', api.kubeconfig, '-n', 'shop'];
  const pod = (name: string, ready: string): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: { 'hydrogen.dev/gateway': 'chat' } },
    status: { conditions: [{ type: 'Ready', status: ready }] },
  });

  assert.match((await run(['list', ...at])).err, /there is no valid HydrogenGateway in namespace shop/);
  api.put('hydrogengroups', groupOf());
  api.put('hydrogengateways', gatewayOf({ management }));
  assert.match((await run(['list', ...at])).err, /no pod of gateway chat in namespace shop is ready/);
  api.put('pods', pod('chat-gateway-starting', 'False'));
  api.put('pods', pod('chat-gateway-ready', 'True'));
  assert.match(
    (await run(['list', ...at])).err,
    /namespace shop has no secret chat-token; give the token with --token-file/,
  );
  const data = { token: Buffer.from('of-the-cluster\n').toString('base64') };
  api.put('secrets', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'chat-token', namespace: 'shop' }, data });

  assert.match((await run(['list', ...at])).err, /error forwarding port 8081: connect ECONNREFUSED/);
  kubelet.listeners.set('chat-gateway-ready:8081', Number(new URL(group.at[1] ?? '').port));
  const listed = await run(['list', ...at, '-o', 'json', '--user', 'alice']);
  assert.equal(listed.code, 0, listed.err);
  assert.equal(JSON.parse(listed.out).connections, 2);
  assert.deepEqual(kubelet.seen.at(-1), {
    path: '/api/v1/namespaces/shop/pods/chat-gateway-ready/portforward',
    authorization: 'Bearer secret-token',
  });
  assert.deepEqual(await run(['disconnect', '--user', 'bob', '--endpoint', '/chat', ...at]), {
    code: 0,
    out: 'disconnected 1\n',
    err: '',
  });

  const other = gatewayOf({ groupRef: { name: 'games' } });
  api.put('hydrogengateways', { ...other, metadata: { name: 'games', namespace: 'shop' } });
  assert.match(
    (await run(['list', ...at])).err,
    /several groups; choose a gateway with --gateway: chat \(group chat\), games/,
  );
  assert.equal((await run(['list', ...at, '--gateway', 'chat'])).code, 0);
  api.remove('pods', 'chat-gateway-ready');
});
