import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import test from 'node:test';
import { connect, refusal } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import {
  type ConfiguredProcess,
  type GatewayProcess,
  startGatewayProcess,
  startMprocProcess,
} from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();

const endpoints = [{ path: '/chat' }, { path: '/feed' }];
const rules = (url: string, more: object = {}): Record<string, unknown> => ({
  routing: { rules: [{ name: 'all', pattern: '.*', destination: { url, ...more } }] },
});

async function post(gateway: GatewayProcess, path: string, body: string): Promise<number> {
  return (await fetch(gateway.managementUrl + path, { method: 'POST', body })).status;
}

async function consumedBy({ probesUrl }: ConfiguredProcess): Promise<number> {
  const text = await (await fetch(`${probesUrl}/metrics`)).text();
  return Number(/^hydrogen_processor_consumed_total\{rule="all"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

test('two gateways and two processors: echo, push, broadcast and disconnect through the other gateway', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using destination = await startDestination((request) => ({ body: `echo ${request.json().message}` }));
  const group = { natsUrl: nats.url };
  await using mproc1 = await startMprocProcess({ group, spec: rules(destination.url, { reply: true }) });
  await using mproc2 = await startMprocProcess({ group, spec: rules(destination.url, { reply: true }) });
  await using one = await startGatewayProcess({ group, spec: { endpoints } });
  await using two = await startGatewayProcess({ group, spec: { endpoints } });
  await using a = await connect(one.url('/chat'));
  await using b = await connect(two.url('/chat'));
  await using c = await connect(two.url('/feed'));

  for (const [client, text] of [
    [a, 'from a'],
    [b, 'from b'],
    [c, 'from c'],
  ] as const) {
    client.send(text);
    assert.equal(await client.nextText(), `echo ${text}`);
  }
  const idOf = (text: string): string =>
    String(destination.requests.map((request) => request.json()).find((body) => body.message === text)?.connection_id);

  assert.equal(await post(two, `/connections/${idOf('from a')}/_send`, 'pushed through two'), 200);
  assert.equal(await a.nextText(), 'pushed through two');
  assert.equal(await post(one, `/connections/${idOf('from c')}/_send`, 'pushed through one'), 200);
  assert.equal(await c.nextText(), 'pushed through one');

  assert.equal(await post(one, '/connections/_broadcast', 'to all'), 202);
  assert.deepEqual(await Promise.all([a, b, c].map((client) => client.nextText())), ['to all', 'to all', 'to all']);
  assert.equal(await post(one, '/connections/_broadcast?endpoints[]=/chat', 'to chat'), 202);
  assert.deepEqual(await Promise.all([a, b].map((client) => client.nextText())), ['to chat', 'to chat']);
  assert.equal(c.texts.length, 3);

  assert.equal(await post(one, `/connections/${idOf('from b')}/_disconnect?code=4000`, 'bye'), 204);
  assert.deepEqual(await b.closed, { code: 4000, reason: 'bye' });
  assert.equal(await post(one, `/connections/${idOf('from b')}/_send`, 'gone'), 410);

  for (let index = 0; index < 400; index++) (index % 2 === 0 ? a : c).send(`${index}`);
  await eventually(() => destination.requests.length === 403);
  const consumed = await Promise.all([mproc1, mproc2].map(consumedBy));
  assert.equal(
    consumed.reduce((sum, count) => sum + count, 0),
    403,
  );
  assert.ok(
    consumed.every((count) => count > 0),
    `one processor did nothing: ${consumed}`,
  );
});

test('several processors of one group each see every message of their endpoints', { skip }, async () => {
  await using nats = await startNats();
  await using everything = await startDestination();
  await using chatOnly = await startDestination();
  const group = { natsUrl: nats.url };
  await using _all = await startMprocProcess({ group, name: 'all', spec: rules(everything.url) });
  await using _chat = await startMprocProcess({
    group,
    name: 'chat',
    spec: { ...rules(chatOnly.url), endpoints: ['/chat'] },
  });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints } });
  await using chat = await connect(gateway.url('/chat'));
  await using feed = await connect(gateway.url('/feed'));
  chat.send('1');
  feed.send('2');
  await eventually(() => everything.requests.length === 2 && chatOnly.requests.length === 1);
  assert.equal(chatOnly.requests[0]?.json().message, '1');
});

test('pushes to the connections of a killed gateway get 503 while its lease is held, then 410', { skip }, async () => {
  await using nats = await startNats();
  await using destination = await startDestination();
  const group = { natsUrl: nats.url, spec: { instanceLeaseSeconds: 10 } };
  await using _mproc = await startMprocProcess({ group, spec: rules(destination.url) });
  await using one = await startGatewayProcess({ group, spec: { endpoints } });
  await using two = await startGatewayProcess({ group, spec: { endpoints } });
  await using client = await connect(one.url('/chat'));
  client.send('hi');
  await eventually(() => destination.requests.length === 1);
  const path = `/connections/${destination.requests[0]?.json().connection_id}/_send`;
  assert.equal(await post(two, path, 'x'), 200);
  one.kill('SIGKILL');
  await one.exited;
  assert.equal(await post(two, path, 'x'), 503);
  await eventually(async () => (await post(two, path, 'x')) === 410, { timeoutMs: 20_000, everyMs: 250 });
});

test('a gateway starts before NATS and before its processor, and becomes ready when both are there', {
  skip,
}, async () => {
  await using nats = await startNats();
  await nats.stop();
  await using destination = await startDestination();
  const group = { natsUrl: nats.url };
  await using gateway = await startGatewayProcess({ group, spec: { endpoints }, isLazy: true });
  await eventually(() => gateway.isReady().then(() => true));
  assert.equal(await gateway.isReady(), false);
  assert.equal((await refusal(gateway.url('/chat'))).status, 503);
  await nats.start();
  await eventually(() => gateway.lines().some(({ msg }) => msg === 'bus connected'));
  assert.equal((await refusal(gateway.url('/chat'))).body.code, 'HYD_NOT_READY');
  await using _mproc = await startMprocProcess({ group, spec: rules(destination.url) });
  await gateway.untilReady();
  await using client = await connect(gateway.url('/chat'));
  client.send('hi');
  await eventually(() => destination.requests.length === 1);
});

test('a changed file is applied without touching connections, an invalid one is logged and ignored', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using first = await startDestination();
  await using second = await startDestination();
  const group = { natsUrl: nats.url };
  await using mproc = await startMprocProcess({ group, spec: rules(first.url) });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints } });
  await using client = await connect(gateway.url('/chat'));
  client.send('one');
  await eventually(() => first.requests.length === 1);

  await writeFile(mproc.file, (await readFile(mproc.file, 'utf8')).replace(first.url, second.url));
  await eventually(() => mproc.lines().some(({ msg }) => msg === 'configuration applied'));
  client.send('two');
  await eventually(() => second.requests.length === 1);

  const text = await readFile(gateway.file, 'utf8');
  await writeFile(gateway.file, text.replace('"endpoints"', '"endpionts"'));
  const refused = await eventually(
    () => gateway.lines().find(({ msg }) => String(msg).startsWith('new configuration is invalid')) ?? false,
  );
  assert.match(JSON.stringify(refused), /endpionts: unknown field; did you mean endpoints/);
  client.send('three');
  await eventually(() => second.requests.length === 2);

  await writeFile(gateway.file, text.replace('/feed', '/news'));
  await eventually(() => gateway.lines().some(({ msg }) => msg === 'configuration applied'));
  assert.equal((await refusal(gateway.url('/feed'))).status, 404);
  await using news = await connect(gateway.url('/news'));
  news.send('four');
  await eventually(() => second.requests.length === 3);
  assert.equal(client.socket.readyState, client.socket.OPEN);

  const patterns = (await readFile(mproc.file, 'utf8')).replace('".*"', '"("');
  await writeFile(mproc.file, patterns);
  await eventually(() => mproc.lines().some(({ msg }) => String(msg).startsWith('new configuration is invalid')));
  client.send('five');
  await eventually(() => second.requests.length === 4);
});

test('SIGTERM drains and exits 0, a second one exits at once', { skip }, async () => {
  await using nats = await startNats();
  await using destination = await startDestination(async (request) => {
    if (request.json().message === 'slow') await new Promise((resolve) => setTimeout(resolve, 1_000));
    return undefined;
  });
  const group = { natsUrl: nats.url };
  await using mproc = await startMprocProcess({ group, spec: rules(destination.url) });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints, drain: { periodSeconds: 1 } } });
  await using client = await connect(gateway.url('/chat'));
  for (let index = 0; index < 200; index++) client.send(`${index}`);
  client.send('slow');
  gateway.kill('SIGTERM');
  assert.equal((await client.closed).code, 1001);
  assert.equal(await gateway.exited, 0);
  await eventually(() => destination.requests.length === 201);
  mproc.kill('SIGTERM');
  assert.equal(await mproc.exited, 0);
  await using next = await startMprocProcess({ group, spec: rules(destination.url) });
  const metrics = await (await fetch(`${next.probesUrl}/metrics`)).text();
  assert.match(metrics, /^hydrogen_processor_pending 0$/m);
  assert.match(metrics, /^hydrogen_processor_unacknowledged 0$/m);
  assert.equal(destination.requests.length, 201);

  await using stubborn = await startGatewayProcess({ group, spec: { endpoints, drain: { periodSeconds: 600 } } });
  const clients = await Promise.all(['/chat', '/feed', '/chat'].map((path) => connect(stubborn.url(path))));
  stubborn.kill('SIGTERM');
  await eventually(() => stubborn.lines().some(({ msg }) => msg === 'stopping'));
  stubborn.kill('SIGTERM');
  assert.notEqual(await stubborn.exited, 0);
  await Promise.all(clients.map((client_) => client_.closed));
});
