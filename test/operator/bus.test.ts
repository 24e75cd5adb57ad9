/** Groups before a real NATS server: streams, consumers, and what is left of them. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect } from 'nats';

import { qualified } from '../../operator/buses.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';
import { startTcpProxy } from '../kit/tcp-proxy.ts';
import { type Any, type FakeApi, startFakeApi } from './fake-api.ts';
import { condition, gateway, group, hideSecrets, processor, startOperator } from './kit.ts';

const skip = await natsOrSkip();
const ready = (api: FakeApi, plural: string): Any => condition(api.get(plural, 'chat'), 'Ready');

/** Names of the streams and of the consumers of the group's stream. */
async function observe(url: string): Promise<{ streams: string[]; consumers: string[] }> {
  const connection = await connect({ servers: url });
  try {
    const manager = await connection.jetstreamManager();
    const streams = (await manager.streams.list().next()).map(({ config }) => config.name).sort();
    const hasStream = streams.includes('HYDROGEN_shop_chat');
    const consumers = hasStream ? await manager.consumers.list('HYDROGEN_shop_chat').next() : [];
    return { streams, consumers: consumers.map(({ name }) => name) };
  } finally {
    await connection.close();
  }
}

test('a group gets its streams and a processor its consumers, and both follow the spec', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogenmessageprocessors', processor());
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  await eventually(async () => (await observe(nats.url)).consumers.join() === 'chat');
  assert.deepEqual((await observe(nats.url)).streams, [
    'HYDROGEN_shop_chat',
    'HYDROGEN_shop_chat_DLQ',
    'KV_hydrogen_shop_chat_instances',
  ]);
  assert.equal(api.get('hydrogengroups', 'chat').status.processors, 1);
  await eventually(() => condition(api.get('hydrogenmessageprocessors', 'chat'), 'GroupReady').status === 'True');

  api.put('hydrogenmessageprocessors', processor({ delivery: { ordering: 'PerConnection', partitions: 2 } }));
  await eventually(async () => (await observe(nats.url)).consumers.sort().join() === 'chat_p0of2,chat_p1of2');
});

test('a deleted processor takes its pods and then its consumers along', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(async () => (await observe(nats.url)).consumers.length === 1);
  await eventually(() => api.get('deployments', 'chat-mproc') !== undefined);
  api.remove('hydrogenmessageprocessors', 'chat');
  await eventually(() => api.get('hydrogenmessageprocessors', 'chat') === undefined);
  assert.deepEqual((await observe(nats.url)).consumers, []);
  assert.deepEqual(api.list('deployments'), []);
  const deleted = api
    .writes()
    .find(({ method, path }) => method === 'DELETE' && path.endsWith('/deployments/chat-mproc'));
  assert.equal(deleted?.body.propagationPolicy, 'Foreground');
});

for (const [deletionPolicy, left] of [
  ['Retain', ['HYDROGEN_shop_chat', 'HYDROGEN_shop_chat_DLQ', 'KV_hydrogen_shop_chat_instances']],
  ['Delete', []],
] as const) {
  test(`deletionPolicy ${deletionPolicy} leaves ${left.length} streams of a deleted group`, { skip }, async () => {
    await using nats = await startNats();
    await using api = await startFakeApi();
    await using _ = startOperator(api.kubeconfig);
    api.put('hydrogengroups', group(nats.url, { stream: { deletionPolicy } }));
    await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
    api.remove('hydrogengroups', 'chat');
    await eventually(() => api.get('hydrogengroups', 'chat') === undefined);
    assert.deepEqual((await observe(nats.url)).streams, left);
  });
}

test('a bus that goes away and comes back is told of by the group and its members', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogengateways', gateway());
  const memberSays = (): string => condition(api.get('hydrogengateways', 'chat'), 'GroupReady')?.status;
  await eventually(() => memberSays() === 'True');
  await nats.stop();
  await eventually(() => ready(api, 'hydrogengroups').reason === 'BusUnreachable');
  await eventually(() => memberSays() === 'False');
  await nats.start();
  await eventually(() => memberSays() === 'True');
});

test('credentials come from a secret, and a condition says when it may not be read or is not there', {
  skip,
}, async () => {
  await using nats = await startNats({ args: ['--auth', 'open-sesame'] });
  await using api = await startFakeApi();
  api.fault = hideSecrets;
  const withToken = (name: string): Any => {
    const one = group(nats.url);
    one.spec.nats.tokenSecretRef = { name, key: 'token' };
    return one;
  };
  api.put('hydrogengroups', withToken('nats'));
  await using running = startOperator(api.kubeconfig);
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'SecretNotReadable');
  assert.match(ready(api, 'hydrogengroups').message, /Secret\/nats.*grant/);
  const hidden = running.lines.filter(({ msg }) => msg.startsWith('secrets may not be watched'));
  assert.equal(hidden.length, 1);
});

test('credentials are read again as soon as their secret appears or changes, and not before', { skip }, async () => {
  await using nats = await startNats({ args: ['--auth', 'open-sesame'] });
  await using api = await startFakeApi();
  const one = group(nats.url);
  one.spec.nats.tokenSecretRef = { name: 'nats', key: 'token' };
  const putToken = (token: string): Any => {
    const data = { token: Buffer.from(token).toString('base64') };
    return api.put('secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'nats', namespace: 'shop' },
      data,
    });
  };
  api.put('hydrogengroups', one);
  await using running = startOperator(api.kubeconfig);
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'SecretNotFound');
  assert.match(ready(api, 'hydrogengroups').message, /there is no Secret\/nats .* create it with the key token/);
  const reads = (): number => api.seen.filter(({ path }) => path.endsWith('/secrets/nats')).length;
  const before = reads();
  putToken('wrong-sesame');
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'BusUnreachable');
  // One to see whether the key is there, one to log in. Attempts to connect go on meanwhile.
  await eventually(() => reads() === before + 2);
  await holds(() => reads() === before + 2, 3000);
  putToken('open-sesame');
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  assert.doesNotMatch(JSON.stringify(running.lines), /-sesame/);
});

test('how far a processor is behind is in its status, and costs a write only when it changes', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { lagMs: 50 } });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  const lag = (): Any => api.get('hydrogenmessageprocessors', 'chat').status?.lag;
  await eventually(() => lag()?.pendingMessages === 0);
  const connection = await connect({ servers: nats.url });
  const endpoint = Buffer.from('/chat').toString('base64url');
  const stream = await (await connection.jetstreamManager()).streams.info('HYDROGEN_shop_chat');
  assert.deepEqual(stream.config.subjects, ['hydrogen.shop_chat.c2s.>']);
  for (const n of [1, 2, 3]) await connection.jetstream().publish(`hydrogen.shop_chat.c2s.${n}.${endpoint}.some`, '{}');
  await eventually(() => lag()?.pendingMessages === 3);
  assert.equal(lag().unacknowledgedMessages, 0);
  assert.match(lag().observedTime, /^\d{4}-.*:\d{2}Z$/);
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  const statusWrites = (): number => api.writes().filter(({ path }) => path.endsWith('/chat/status')).length;
  const before = statusWrites();
  await holds(() => statusWrites() === before, 500);
  const consumer = await connection.jetstream().consumers.get('HYDROGEN_shop_chat', 'chat');
  await consumer.next();
  await eventually(() => lag().pendingMessages === 2 && lag().unacknowledgedMessages === 1);
  await connection.close();
});

test('a group whose account has no room for all of its streams says so', { skip }, async () => {
  const account = 'A { users: [{user: a, password: a}], jetstream: {max_file: 4G, max_streams: 2} }';
  await using nats = await startNats({ config: `accounts { ${account} }\nno_auth_user: a` });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'StreamRefused');
  assert.match(
    ready(api, 'hydrogengroups').message,
    /check JetStream and the limits of the account: .*maximum.*streams/i,
  );
});

test('a stream that exists otherwise and cannot be changed is told of and not deleted', { skip }, async () => {
  await using nats = await startNats();
  const connection = await connect({ servers: nats.url });
  const manager = await connection.jetstreamManager();
  const subjects = ['hydrogen.shop_chat.c2s.>'];
  await manager.streams.add({ name: 'HYDROGEN_shop_chat', subjects, storage: 'memory' as never });
  await connection.close();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'StreamConflict');
  assert.match(ready(api, 'hydrogengroups').message, /HYDROGEN_shop_chat has \w+/);
});

/** Deletes streams of the server as an administrator would; resolves with the names of those that were there. */
async function deleteStreams(url: string): Promise<string[]> {
  const connection = await connect({ servers: url });
  try {
    const manager = await connection.jetstreamManager();
    const names = (await manager.streams.list().next()).map(({ config }) => config.name);
    for (const name of names) await manager.streams.delete(name);
    return names;
  } finally {
    await connection.close();
  }
}

test('streams and consumers that somebody deletes are made again', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { lagMs: 100 } });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(() => api.get('hydrogenmessageprocessors', 'chat').status?.lag !== undefined);
  assert.equal((await deleteStreams(nats.url)).length, 3);
  await eventually(async () => {
    const { streams, consumers } = await observe(nats.url);
    return streams.length === 3 && consumers.join() === 'chat';
  });
});

test('a conflict of streams that somebody mends is noticed', { skip }, async () => {
  await using nats = await startNats();
  const connection = await connect({ servers: nats.url });
  const subjects = ['hydrogen.shop_chat.c2s.>'];
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'HYDROGEN_shop_chat', subjects, storage: 'memory' as never });
  await connection.close();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'StreamConflict');
  await deleteStreams(nats.url);
  await eventually(() => ready(api, 'hydrogengroups').status === 'True', { timeoutMs: 30_000 });
});

test('a bus that refuses the login says so', { skip }, async () => {
  await using nats = await startNats({ args: ['--auth', 'open-sesame'] });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => /authorization/i.test(ready(api, 'hydrogengroups')?.message));
});

test('a processor that was changed while no operator ran gets its consumers once NATS is connected', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using proxy = await startTcpProxy(nats.port);
  await using api = await startFakeApi();
  api.put('hydrogengroups', group(`nats://127.0.0.1:${proxy.port}`));
  api.put('hydrogenmessageprocessors', processor());
  {
    await using _ = startOperator(api.kubeconfig);
    await eventually(() => condition(api.get('hydrogenmessageprocessors', 'chat'), 'GroupReady')?.status === 'True');
  }
  api.put('hydrogenmessageprocessors', processor({ delivery: { ordering: 'PerConnection', partitions: 2 } }));
  proxy.refuse(true);
  await using running = startOperator(api.kubeconfig);
  await eventually(() => running.lines.some(({ event }) => event === 'connectFailed'));
  proxy.refuse(false);
  await eventually(async () => (await observe(nats.url)).consumers.sort().join() === 'chat_p0of2,chat_p1of2');
});

test('a processor does not wait for the NATS of a group that is deleted along with it', async () => {
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(undefined, { nats: { managed: { replicas: 1 } } }));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(() => api.get('deployments', 'chat-mproc') !== undefined);
  await eventually(() => api.get('hydrogengroups', 'chat').metadata.finalizers?.length === 1);
  api.remove('hydrogenmessageprocessors', 'chat');
  await eventually(() => condition(api.get('hydrogenmessageprocessors', 'chat'), 'Deleting') !== undefined);
  await holds(() => api.get('hydrogenmessageprocessors', 'chat') !== undefined, 200);
  api.remove('hydrogengroups', 'chat');
  await eventually(() => api.get('hydrogenmessageprocessors', 'chat') === undefined);
  await eventually(() => api.get('hydrogengroups', 'chat') === undefined);
  assert.ok(running.lines.some(({ msg }) => msg.startsWith('the consumers of a deleted message processor were left')));
});

test('a bare name of a server is that of a service in the namespace of the group', () => {
  for (const [server, reached] of [
    ['nats://nats:4222', 'nats://nats.shop.svc:4222'],
    ['tls://my-nats', 'tls://my-nats.shop.svc'],
    ['nats://user:pass@nats:4222', 'nats://user:pass@nats.shop.svc:4222'],
    ['nats://nats.messaging:4222', 'nats://nats.messaging:4222'],
    ['nats://localhost:4222', 'nats://localhost:4222'],
    ['nats://10.0.0.1:4222', 'nats://10.0.0.1:4222'],
    ['nats://[::1]:4222', 'nats://[::1]:4222'],
  ] as const) {
    assert.equal(qualified(server, 'shop'), reached);
  }
});

test('streams that NATS refuses to delete keep the group, which says why', { skip }, async () => {
  const permissions = '{ publish: { deny: ["$JS.API.STREAM.DELETE.>"] } }';
  const config = `authorization { users: [{ user: a, password: a, permissions: ${permissions} }] }\nno_auth_user: a`;
  await using nats = await startNats({ config });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url, { stream: { deletionPolicy: 'Delete' } }));
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  api.remove('hydrogengroups', 'chat');
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'RemovingStreams');
  assert.match(ready(api, 'hydrogengroups').message, /NATS does not delete the streams: .+; to leave them/);
});

test('groups whose JetStream is silent keep no other object waiting', { skip }, async () => {
  const permissions = '{ publish: { deny: ["$JS.API.>"] } }';
  const config = `authorization { users: [{ user: a, password: a, permissions: ${permissions} }] }\nno_auth_user: a`;
  await using silent = await startNats({ config });
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig);
  for (let index = 0; index < 40; index++) {
    api.put('hydrogengroups', { ...group(silent.url), metadata: { name: `silent${index}`, namespace: 'shop' } });
  }
  const connected = (): number => running.lines.filter(({ event }) => event === 'connected').length;
  await eventually(() => connected() === 40);
  const startedMs = performance.now();
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogengateways', gateway());
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined, { timeoutMs: 20_000 });
  // Each of the 40 would hold one of four workers for the five seconds of a request that nobody answers.
  assert.ok(performance.now() - startedMs < 5000, `${performance.now() - startedMs} ms`);
  await eventually(() => condition(api.get('hydrogengroups', 'silent0'), 'BusReachable')?.status === 'False');
});
