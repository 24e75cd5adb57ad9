import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, refusal } from '../../kit/client.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';

test('puts a text message on the bus as the body that destinations receive', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  client.send('he said "grüß dich"\n');
  await eventually(() => gateway.messages.length === 1);
  const { body, id } = gateway.messages[0] ?? { body: {}, id: '' };
  assert.deepEqual(Object.keys(body).sort(), [
    'callback',
    'connection_id',
    'context',
    'endpoint',
    'group_id',
    'instance_id',
    'message',
    'message_encoding',
    'time',
  ]);
  assert.equal(body.message, 'he said "grüß dich"\n');
  assert.equal(body.message_encoding, 'text');
  assert.equal(body.endpoint, '/chat');
  assert.equal(body.group_id, 'default_test');
  assert.equal(body.instance_id, gateway.gateway.instanceId);
  assert.deepEqual(body.context, { authorizer: {} });
  assert.match(String(body.connection_id), /^[0-9a-f]{12}-[0-9a-f]{32}$/);
  assert.equal(id, `${body.connection_id}-1`);
  assert.ok(Math.abs(Date.parse(String(body.time)) - Date.now()) < 60_000);
});

test('puts a binary message on the bus in base64', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const data = Buffer.from([0, 1, 2, 0xff, 0xfe]);
  client.send(data);
  await eventually(() => gateway.messages.length === 1);
  assert.equal(gateway.messages[0]?.body.message_encoding, 'base64');
  assert.deepEqual(Buffer.from(String(gateway.messages[0]?.body.message), 'base64'), data);
});

test('keeps the order of a connection', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  for (let index = 0; index < 2_000; index++) client.send(String(index));
  await eventually(() => gateway.messages.length === 2_000);
  assert.deepEqual(
    gateway.messages.map(({ body }) => Number(body.message)),
    Array.from({ length: 2_000 }, (_, index) => index),
  );
});

test('closes 1009 when a message is over the limit', async () => {
  await using gateway = await startGateway({ spec: { limits: { maxMessageBytes: 1000 } } });
  await using client = await connect(gateway.url('/chat'));
  client.send('x'.repeat(1000));
  client.send('x'.repeat(1001));
  assert.equal((await client.closed).code, 1009);
  assert.equal(gateway.messages.length, 1);
});

test('closes 1009 when the JSON of a message is larger than the bus accepts', async () => {
  await using gateway = await startGateway({ spec: { limits: { maxMessageBytes: 2_000_000 } } });
  await using client = await connect(gateway.url('/chat'));
  client.send(Buffer.alloc(1_000_000));
  assert.equal((await client.closed).code, 1009);
  assert.equal(gateway.messages.length, 0);
});

test('closes 1007 when a text message is not UTF-8', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  client.socket.send(Buffer.from([0x68, 0xc3, 0x28]), { binary: false });
  assert.equal((await client.closed).code, 1007);
  assert.equal(gateway.messages.length, 0);
});

test('closes 1003 when a client sends to a gateway that only sends', async () => {
  await using gateway = await startGateway({ spec: { mode: 'ServerToClient' }, isConsumed: false });
  await eventually(() => gateway.gateway.readiness.reason === undefined);
  await using client = await connect(gateway.url('/chat'));
  client.send('hello?');
  const { code, reason } = await client.closed;
  assert.deepEqual([code, reason], [1003, 'this gateway takes no client messages']);
});

test('accepts every message of a flood', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const text = 'y'.repeat(20_000);
  for (let index = 0; index < 3_000; index++) client.send(text);
  await eventually(() => gateway.messages.length === 3_000, { timeoutMs: 30_000 });
});

test('slows a client down to messagesPerSecond and loses nothing', async () => {
  await using gateway = await startGateway({ spec: { limits: { messagesPerSecond: 50 } } });
  await using client = await connect(gateway.url('/chat'));
  const startedAtMs = performance.now();
  for (let index = 0; index < 20; index++) {
    for (let part = 0; part < 10; part++) client.send('z'.repeat(8_192));
    await new Promise(setImmediate);
  }
  await eventually(() => gateway.messages.length === 200, { timeoutMs: 20_000 });
  const seconds = (performance.now() - startedAtMs) / 1000;
  assert.ok(seconds > 1, `200 messages at 50 a second after a burst of 50 took only ${seconds} s`);
});

test('stops reading while the bus is down, refuses upgrades, and delivers everything when it is back', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  client.send('before');
  await eventually(() => gateway.messages.length === 1);
  gateway.broker.setDown(true);
  for (let index = 0; index < 500; index++) client.send('w'.repeat(10_000));
  const { status, body, headers } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [503, 'HYD_NOT_READY']);
  assert.ok(headers['retry-after']);
  assert.equal((await fetch(`${gateway.probesUrl}/readyz`)).status, 503);
  await holds(() => gateway.messages.length === 1 && client.socket.readyState === client.socket.OPEN, 300);
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  const outstanding = Number(/hydrogen_gateway_unacknowledged_bytes (\d+)/.exec(metrics)?.[1]);
  assert.ok(outstanding < 2_500_000, `${outstanding} bytes were taken from a client that should not be read from`);
  gateway.broker.setDown(false);
  await eventually(() => gateway.messages.length === 501, { timeoutMs: 20_000 });
  assert.equal((await fetch(`${gateway.probesUrl}/readyz`)).status, 200);
});

test('closes every connection with 1013 when it is cut off for so long that others may report them as gone', async () => {
  const { createMemoryBroker } = await import('../../../runtime/bus/memory/memory.ts');
  await using gateway = await startGateway({ broker: createMemoryBroker({ leaseMs: 500 }) });
  await using client = await connect(gateway.url('/chat'));
  gateway.broker.setDown(true);
  assert.equal((await client.closed).code, 1013);
  assert.equal(gateway.lines.filter(({ msg }) => msg === 'lease lost, closing every connection').length, 1);
});

test('pings, and cuts off a client without a sign of life', async () => {
  await using gateway = await startGateway({ spec: { heartbeat: { intervalSeconds: 1, timeoutSeconds: 2 } } });
  await using silent = await connect(gateway.url('/chat'), { autoPong: false });
  await using alive = await connect(gateway.url('/chat'));
  let pings = 0;
  alive.socket.on('ping', () => {
    pings += 1;
  });
  assert.equal((await silent.closed).code, 1006);
  await eventually(() => pings >= 2);
  assert.equal(alive.socket.readyState, alive.socket.OPEN);
  await eventually(() =>
    gateway.lines.some(({ msg, code }) => msg === 'connection closed' && code === 'HYD_HEARTBEAT_TIMEOUT'),
  );
});

test('applies changed endpoints, limits and origins without touching connections', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/feed'));
  gateway.reconfigure({ endpoints: [{ path: '/chat' }, { path: '/new' }], allowedOrigins: ['https://a.test'] });
  assert.equal((await refusal(gateway.url('/feed'))).status, 404);
  assert.equal((await refusal(gateway.url('/new'), { headers: { origin: 'https://b.test' } })).status, 403);
  await using added = await connect(gateway.url('/new'));
  added.send('a');
  client.send('b');
  await eventually(() => gateway.messages.length === 2);
  gateway.reconfigure({ limits: { maxConnections: 2, maxMessageBytes: 10 } });
  assert.equal((await refusal(gateway.url('/chat'))).body.code, 'HYD_TOO_MANY_CONNECTIONS');
  added.socket.close();
  await added.closed;
  await using small = await connect(gateway.url('/chat'));
  small.send('x'.repeat(11));
  assert.equal((await small.closed).code, 1009);
  gateway.reconfigure({ mode: 'ServerToClient' });
  client.send('c');
  assert.equal((await client.closed).code, 1003);
});

test('logs interval statistics and no payload', async () => {
  await using gateway = await startGateway({ spec: { statsIntervalSeconds: 1 } });
  await using client = await connect(gateway.url('/chat'));
  client.send('a secret of the client');
  const line = await eventually(
    () => gateway.lines.find(({ msg, messagesIn }) => msg === 'statistics' && messagesIn === 1) ?? false,
  );
  assert.deepEqual(
    { connections: line.connections, bytesIn: line.bytesIn, intervalSeconds: line.intervalSeconds },
    { connections: 1, bytesIn: 22, intervalSeconds: 1 },
  );
  assert.doesNotMatch(JSON.stringify(gateway.lines), /a secret of the client/);
});
