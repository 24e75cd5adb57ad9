/** Groups with a real NATS server: connections, streams, consumers and lag. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect } from 'nats';

import { qualified } from '../../../operator/nats/options.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';
import { startTcpProxy } from '../../kit/tcp-proxy.ts';
import { type Any, startFakeApi } from '../kit/api.ts';
import { condition, gateway, group, hideSecrets, processor, startOperator } from '../kit/operator.ts';
import { observe, ready, streamNames } from './kit.ts';

const skip = await natsOrSkip();

test('a group gets its streams and a processor its consumers, and both follow the spec', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogenmessageprocessors', processor());
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  await eventually(async () => (await observe(nats.url)).consumers.join() === 'chat,chat_e');
  assert.deepEqual((await observe(nats.url)).streams, streamNames);
  assert.equal(api.get('hydrogengroups', 'chat').status.processors, 1);
  await eventually(() => condition(api.get('hydrogenmessageprocessors', 'chat'), 'GroupReady').status === 'True');

  api.put('hydrogenmessageprocessors', processor({ delivery: { ordering: 'PerConnection', partitions: 2 } }));
  await eventually(async () => (await observe(nats.url)).consumers.join() === 'chat_g1_l0of2,chat_g1_l1of2');
});

test('the group and its members report a bus that goes away and comes back', { skip }, async () => {
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

test('credentials come from a secret, and a condition says when it is not readable or does not exist', {
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
  const hidden = running.lines.filter(({ msg }) => msg.startsWith('no permission to watch or read secrets'));
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

test('the lag of a processor is in its status, and costs a write only when it changes', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 50 } });
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
    /check JetStream and the limits of the account: .*maximum.*streams.*; the account has 2 of at most 2 streams, promised 2048 of 3814 MiB in files/i,
  );
});

test('a group whose account has no room for waiting rooms says so, and its processor works', { skip }, async () => {
  const account = 'A { users: [{user: a, password: a}], jetstream: {max_file: 4G, max_streams: 3} }';
  await using nats = await startNats({ config: `accounts { ${account} }\nno_auth_user: a` });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'StreamConflict');
  assert.match(ready(api, 'hydrogengroups').message, /limits of the account: stream HYDROGEN_shop_chat_WAIT: maximum/);
  await eventually(async () => (await observe(nats.url)).consumers.join() === 'chat,chat_e');
});

test('a bus that refuses the login says so', { skip }, async () => {
  await using nats = await startNats({ args: ['--auth', 'open-sesame'] });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => /authorization/i.test(ready(api, 'hydrogengroups')?.message));
});

test('a processor that was changed while no operator was running gets its consumers once NATS is connected', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using proxy = await startTcpProxy(nats.port);
  await using api = await startFakeApi();
  api.put('hydrogengroups', group(`nats://127.0.0.1:${proxy.port}`));
  api.put('hydrogenmessageprocessors', processor());
  {
    await using _ = startOperator(api.kubeconfig);
    await eventually(async () => (await observe(nats.url)).consumers.join() === 'chat,chat_e');
  }
  api.put('hydrogenmessageprocessors', processor({ delivery: { ordering: 'PerConnection', partitions: 2 } }));
  proxy.refuse(true);
  await using running = startOperator(api.kubeconfig);
  await eventually(() => running.lines.some(({ event }) => event === 'connectFailed'));
  proxy.refuse(false);
  await eventually(async () => (await observe(nats.url)).consumers.join() === 'chat_g1_l0of2,chat_g1_l1of2');
});

test('a bare server name is that of a service in the namespace of the group', () => {
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
