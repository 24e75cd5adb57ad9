/** What others do to the streams and consumers of a group, and a JetStream that does not answer. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually, holds } from '../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';
import { startFakeApi } from '../kit/api.ts';
import { condition, gateway, group, processor, startOperator } from '../kit/operator.ts';
import { addMemoryStream, administer, observe, ready, streamName, streamNames, withoutRight } from './kit.ts';

const skip = await natsOrSkip();
const timing = { observeMs: 100 };

async function deleteStreams(url: string, names: readonly string[]): Promise<void> {
  await administer(url, async ({ streams }) => {
    for (const name of names) await streams.delete(name);
  });
}

test('a stream with other settings that cannot be changed is reported and not deleted', { skip }, async () => {
  await using nats = await startNats();
  await addMemoryStream(nats.url);
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'StreamConflict');
  assert.match(ready(api, 'hydrogengroups').message, /HYDROGEN_shop_chat has \w+/);
});

test('streams and consumers that somebody deletes are created again', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 100 } });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(() => api.get('hydrogenmessageprocessors', 'chat').status?.lag !== undefined);
  await deleteStreams(nats.url, streamNames);
  await eventually(async () => {
    const { streams, consumers } = await observe(nats.url);
    return streams.length === streamNames.length && consumers.join() === 'chat,chat_e';
  });
});

test('notices when somebody resolves a conflict of streams', { skip }, async () => {
  await using nats = await startNats();
  await addMemoryStream(nats.url);
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'StreamConflict');
  await deleteStreams(nats.url, [streamName]);
  await eventually(() => ready(api, 'hydrogengroups').status === 'True', { timeoutMs: 30_000 });
});

for (const name of streamNames) {
  test(`${name} that somebody deletes is created again in a group that nobody uses`, { skip }, async () => {
    await using nats = await startNats();
    await using api = await startFakeApi();
    await using _ = startOperator(api.kubeconfig, { timing });
    api.put('hydrogengroups', group(nats.url));
    await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
    await deleteStreams(nats.url, [name]);
    await eventually(async () => (await observe(nats.url)).streams.length === streamNames.length);
  });
}

test('a stream setting that somebody changes is reverted, and then nothing more is written', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig, { timing });
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  const age = (): Promise<number> =>
    administer(nats.url, async ({ streams }) => (await streams.info(streamName)).config.max_age);
  const wanted = await age();
  for (const seconds of [1000, 2000, 1000]) {
    await administer(nats.url, ({ streams }) => streams.update(streamName, { max_age: seconds * 1e9 }));
    await eventually(async () => (await age()) === wanted);
  }
  const looked = (): number => running.lines.filter(({ msg }) => msg === 'reconciled').length;
  const before = looked();
  await holds(() => looked() <= before + 1, 500);
});

test("one of a processor's many consumers that somebody deletes is created again", { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor({ delivery: { ordering: 'PerConnection', partitions: 4 } }));
  await eventually(async () => (await observe(nats.url)).consumers.length === 4);
  await administer(nats.url, ({ consumers }) => consumers.delete(streamName, 'chat_l2of4'));
  await eventually(async () => (await observe(nats.url)).consumers.includes('chat_l2of4'));
});

test('a conflict that nobody resolves is checked repeatedly, and changes nothing', { skip }, async () => {
  await using nats = await startNats();
  await addMemoryStream(nats.url);
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig, { timing });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogengateways', gateway());
  await eventually(() => ready(api, 'hydrogengroups')?.reason === 'StreamConflict');
  await eventually(
    () => condition(api.get('hydrogengateways', 'chat'), 'GroupReady')?.message.includes('HYDROGEN_') === true,
  );
  const looked = (): number => running.lines.filter(({ msg }) => msg === 'reconciled').length;
  const before = looked();
  await holds(() => looked() <= before + 3, 1000);
});

test('groups whose JetStream is silent keep no other object waiting', { skip }, async () => {
  await using silent = await startNats({ config: withoutRight('$JS.API.>') });
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
  // Each of the 40 would occupy one of four workers for the five seconds of an unanswered request.
  assert.ok(performance.now() - startedMs < 5000, `${performance.now() - startedMs} ms`);
  await eventually(() => condition(api.get('hydrogengroups', 'silent0'), 'BusReachable')?.status === 'False');
});

test('consumers that NATS does not answer about keep no other object waiting', { skip }, async () => {
  await using nats = await startNats({ config: withoutRight('$JS.API.CONSUMER.CREATE.>') });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => ready(api, 'hydrogengroups')?.status === 'True');
  for (let index = 0; index < 40; index++) {
    api.put('hydrogenmessageprocessors', { ...processor(), metadata: { name: `silent${index}`, namespace: 'shop' } });
  }
  const startedMs = performance.now();
  await eventually(() => api.list('deployments').length > 0);
  api.put('hydrogengateways', gateway());
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined, { timeoutMs: 20_000 });
  assert.ok(performance.now() - startedMs < 5000, `${performance.now() - startedMs} ms`);
  await eventually(
    () => condition(api.get('hydrogenmessageprocessors', 'silent0'), 'GroupReady')?.reason === 'ConsumersRefused',
    { timeoutMs: 10_000 },
  );
});

test('consumers that an interrupted change has left behind are deleted, and those in use stay', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor({ delivery: { ordering: 'PerConnection', partitions: 2 } }));
  const names = async (): Promise<string> => (await observe(nats.url)).consumers.join();
  await eventually(async () => (await names()) === 'chat_l0of2,chat_l1of2');
  const earlier = await administer(nats.url, ({ consumers }) => consumers.list(streamName).next());
  api.put('hydrogenmessageprocessors', processor({ delivery: { ordering: 'Unordered' } }));
  await eventually(async () => (await names()) === 'chat_g1,chat_g1_e');
  // As if the operator had died before it deleted the second one.
  const left = earlier.at(-1)?.config;
  assert.ok(left);
  await administer(nats.url, ({ consumers }) => consumers.add(streamName, left));
  assert.equal(await names(), 'chat_g1,chat_g1_e,chat_l1of2');
  await eventually(async () => (await names()) === 'chat_g1,chat_g1_e', { timeoutMs: 20_000 });
  await holds(async () => (await names()) === 'chat_g1,chat_g1_e', 300);
});

test('consumers of somebody else on the stream are left alone', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using running = startOperator(api.kubeconfig, { timing });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  await eventually(async () => (await observe(nats.url)).consumers.join() === 'chat,chat_e');
  await administer(nats.url, ({ consumers }) =>
    consumers.add(streamName, { durable_name: 'audit', filter_subject: 'hydrogen.shop_chat.c2s.>' }),
  );
  const looked = (): number => running.lines.filter(({ msg }) => msg === 'reconciled').length;
  const before = looked();
  await holds(async () => (await observe(nats.url)).consumers.includes('audit'), 500);
  assert.ok(looked() <= before + 2);
});
