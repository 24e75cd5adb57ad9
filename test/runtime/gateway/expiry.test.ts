/** Who a client is, until when, and how a connection ends whose time is over. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { connect, refusal } from '../../kit/client.ts';
import { startDestination, type TestDestination } from '../../kit/destination.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';
import { withholdingBus } from './held-bus.ts';

const expired = {
  code: 4001,
  reason: 'HYD_CONNECTION_EXPIRED: the authorization has expired: renew it and connect again',
};
const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();

function startAuthorizer(answer: () => object): Promise<TestDestination> {
  return startDestination(() => ({ body: JSON.stringify(answer()) }));
}

const authorizedBy = ({ url }: TestDestination) => ({ authorizer: { http: { url, timeoutSeconds: 5 } } });

test('destinations, hooks and the management API learn the user, and services where to call back from the body', async () => {
  await using auth = await startDestination(() => ({
    body: '{"user":"älice|1","context":{"n":12345678901234567890.10}}',
  }));
  await using hook = await startDestination();
  const call = { url: hook.url };
  await using gateway = await startGateway({
    spec: { ...authorizedBy(auth), hooks: { connect: call, disconnect: call } },
  });
  await using client = await connect(gateway.url('/chat'));
  client.send('hi');
  await eventually(() => gateway.messages.length === 1);
  const { user, callback } = gateway.messages[0]?.body ?? {};
  assert.deepEqual([user, callback], ['älice|1', 'http://callback.test']);
  const id = gateway.messages[0]?.body.connection_id;
  const described = (await (await fetch(`${gateway.managementUrl}/connections/${id}`)).json()) as object;
  assert.deepEqual([Reflect.get(described, 'user'), 'ends_at' in described], ['älice|1', false]);
  client.socket.close();
  await eventually(() => hook.requests.length === 2);
  for (const request of hook.requests) {
    const { user, callback } = request.json();
    assert.deepEqual([user, callback], ['älice|1', 'http://callback.test']);
    assert.match(request.body.toString(), /"context":\{"authorizer":\{"n":12345678901234567890\.10\}\}/);
  }
  assert.equal(auth.requests[0]?.json().callback, 'http://callback.test');
});

for (const [title, answer] of [
  ['an empty user', { user: '' }],
  ['a user that is a number', { user: 7 }],
  ['a user of 129 bytes', { user: 'x'.repeat(129) }],
  ['a user with a line break', { user: 'a\nb' }],
  ['the user ..', { user: '..' }],
  ['channels that are no list', { channels: 'room-1' }],
  ['a channel without a name', { channels: ['room-1', ''] }],
  ['too many channels', { channels: Array.from({ length: 129 }, (_, i) => `room-${i}`) }],
  ['a time that is a number', { expires_at: 1_900_000_000 }],
  ['a time without a zone', { expires_at: '2099-01-31T12:00:00' }],
  ['a day that is none', { expires_at: '2099-13-31T12:00:00Z' }],
] as const) {
  test(`refuses ${title} with 503 and a log line that names it`, async () => {
    await using auth = await startAuthorizer(() => answer);
    await using gateway = await startGateway({ spec: authorizedBy(auth) });
    assert.equal((await refusal(gateway.url('/chat'))).body.code, 'HYD_AUTHORIZER_INVALID');
    const line = gateway.lines.find(({ msg }) => msg === 'upgrade refused');
    assert.match(String(line?.detail), new RegExp(Object.keys(answer)[0] ?? ''));
  });
}

test('refuses a client with 401 whose authorization has expired already', async () => {
  await using auth = await startAuthorizer(() => ({ expires_at: inMs(-1_000) }));
  await using gateway = await startGateway({ spec: { ...authorizedBy(auth), expiry: { graceSeconds: 60 } } });
  const { status, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [401, 'HYD_UNAUTHORIZED']);
});

test('closes with 4001 at expires_at, and says so to the disconnect hook, in the metrics and in the log', async () => {
  await using auth = await startAuthorizer(() => ({ expires_at: inMs(1_500) }));
  await using gone = await startDestination();
  await using gateway = await startGateway({
    spec: { ...authorizedBy(auth), hooks: { disconnect: { url: gone.url } }, statsIntervalSeconds: 1 },
  });
  await using client = await connect(gateway.url('/chat'));
  const id = gateway.lines.find(({ msg }) => msg === 'connection opened')?.connectionId;
  const described = (await (await fetch(`${gateway.managementUrl}/connections/${id}`)).json()) as { ends_at: string };
  assert.ok(Math.abs(Date.parse(described.ends_at) - Date.now() - 1_500) < 1_500);
  assert.deepEqual(await client.closed, expired);
  await eventually(() => gone.requests.length === 1);
  assert.deepEqual([gone.requests[0]?.json().code, gone.requests[0]?.json().reason], [4001, expired.reason]);
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  assert.match(metrics, /^hydrogen_gateway_connections_expired_total\{code="HYD_CONNECTION_EXPIRED"\} 1$/m);
  assert.match(metrics, /^hydrogen_gateway_connections_closed_total\{close_code="4001"\} 1$/m);
  await eventually(() => gateway.lines.some(({ msg, expired }) => msg === 'statistics' && expired === 1));
  const line = gateway.lines.find(({ msg }) => msg === 'connection closed');
  assert.deepEqual([line?.code, line?.by], ['HYD_CONNECTION_EXPIRED', 'gateway']);
});

test('stores what it had read before it writes 4001', async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using auth = await startAuthorizer(() => ({ expires_at: inMs(500) }));
  await using gateway = await startGateway({ broker, bus: withheld.bus, spec: authorizedBy(auth) });
  await using client = await connect(gateway.url('/chat'));
  for (let index = 0; index < 1_000; index++) client.send(`${index}`);
  await eventually(() => withheld.published === 128);
  await holds(() => client.socket.readyState === client.socket.OPEN, 2_500);
  withheld.acknowledge();
  assert.deepEqual(await client.closed, expired);
  assert.equal(withheld.published, 1_000);
});

test('keeps a connection for the grace period', async () => {
  await using auth = await startAuthorizer(() => ({ expires_at: inMs(100) }));
  await using gateway = await startGateway({ spec: { ...authorizedBy(auth), expiry: { graceSeconds: 3600 } } });
  await using client = await connect(gateway.url('/chat'));
  await holds(() => client.socket.readyState === client.socket.OPEN, 2_500);
});

test('a clock that is set ends no connection, and keeps none', async (context) => {
  await using auth = await startAuthorizer(() => ({ expires_at: inMs(3_000) }));
  await using gateway = await startGateway({ spec: authorizedBy(auth) });
  await using client = await connect(gateway.url('/chat'));
  const now = Date.now;
  context.mock.method(Date, 'now', () => now() + 3_600_000);
  await holds(() => client.socket.readyState === client.socket.OPEN, 1_200);
  context.mock.method(Date, 'now', () => now() - 3_600_000);
  assert.deepEqual(await client.closed, expired);
});

test('closes with 1001 at the greatest age, and a change of it ends no connection that is open', async () => {
  await using gateway = await startGateway();
  await using before = await connect(gateway.url('/chat'));
  gateway.reconfigure({ limits: { maxConnectionAgeSeconds: 1 } });
  await using after = await connect(gateway.url('/chat'));
  assert.deepEqual(await after.closed, {
    code: 1001,
    reason: 'limits.maxConnectionAgeSeconds is reached: connect again',
  });
  await holds(() => before.socket.readyState === before.socket.OPEN, 1_500);
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  assert.match(metrics, /^hydrogen_gateway_connections_expired_total\{code="HYD_CONNECTION_TOO_OLD"\} 1$/m);
});
