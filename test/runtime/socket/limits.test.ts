/** The limits of handshakes, and those of an address. */

import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import test from 'node:test';
import { connect, refusal } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';

const upgrade =
  'GET /chat HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

for (const how of ['end', 'resetAndDestroy'] as const) {
  test(`a client that leaves while the authorizer thinks gives its place back, and the call is cut (${how})`, async () => {
    let cut = 0;
    await using auth = await startDestination((_request, response) => {
      response.on('close', () => {
        cut += 1;
      });
      return 'handled';
    });
    await using gateway = await startGateway({
      spec: { authorizer: { http: { url: auth.url, timeoutSeconds: 60 } }, limits: { maxConnections: 1 } },
    });
    const socket = connectTcp(gateway.gateway.ports.client, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(upgrade);
    await eventually(() => auth.requests.length === 1);
    socket[how]();
    await eventually(() => cut === 1);
    await eventually(() => gateway.lines.some(({ code }) => code === 'HYD_CLIENT_LEFT'));
    auth.handle(() => ({ body: '{}' }));
    await using client = await connect(gateway.url('/chat'));
    assert.equal(client.socket.readyState, client.socket.OPEN);
  });
}

test('refuses handshakes over maxPendingHandshakes with 503, until one is answered', async () => {
  const waiting: (() => void)[] = [];
  await using auth = await startDestination(async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return { body: '{}' };
  });
  await using gateway = await startGateway({
    spec: { authorizer: { http: { url: auth.url } }, limits: { maxPendingHandshakes: 2 } },
  });
  const pending = [connect(gateway.url('/chat')), connect(gateway.url('/chat'))];
  await eventually(() => waiting.length === 2);
  const { status, headers, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [503, 'HYD_TOO_MANY_HANDSHAKES']);
  assert.match(String(headers['retry-after']), /^\d+$/);
  for (const answer of waiting.splice(0)) answer();
  for (const client of await Promise.all(pending)) await client[Symbol.asyncDispose]();
  auth.handle(() => ({ body: '{}' }));
  await using client = await connect(gateway.url('/chat'));
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

test('refuses connections over maxConnectionsPerAddress with 429; another address has its own places', async () => {
  await using gateway = await startGateway({
    spec: { trustedProxies: ['127.0.0.0/8'], limits: { maxConnectionsPerAddress: 2 } },
  });
  const from = (address: string): { headers: Record<string, string> } => ({ headers: { 'x-forwarded-for': address } });
  await using first = await connect(gateway.url('/chat'), from('192.0.2.1'));
  await using _second = await connect(gateway.url('/chat'), from('192.0.2.1'));
  const { status, body } = await refusal(gateway.url('/chat'), from('192.0.2.1'));
  assert.deepEqual([status, body.code], [429, 'HYD_TOO_MANY_FROM_ADDRESS']);
  await using _other = await connect(gateway.url('/chat'), from('192.0.2.2'));
  await using _one = await connect(gateway.url('/chat'), from('2001:db8::1'));
  await using _two = await connect(gateway.url('/chat'), from('2001:db8::2'));
  assert.equal((await refusal(gateway.url('/chat'), from('2001:db8::3'))).status, 429);
  first.socket.close();
  await first.closed;
  await using again = await connect(gateway.url('/chat'), from('192.0.2.1'));
  assert.equal(again.socket.readyState, again.socket.OPEN);
});

test('refused handshakes keep no place of their address', async () => {
  await using gateway = await startGateway({ spec: { limits: { maxConnectionsPerAddress: 1 } } });
  for (let index = 0; index < 3; index++) assert.equal((await refusal(gateway.url('/nowhere'))).status, 404);
  await using client = await connect(gateway.url('/chat'));
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

test('refuses handshakes over handshakesPerSecondPerAddress with 429, and admits them again', async () => {
  await using gateway = await startGateway({ spec: { limits: { handshakesPerSecondPerAddress: 2 } } });
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => refusal(gateway.url('/nowhere'))));
  assert.equal(outcomes.filter(({ status }) => status === 429).length >= 3, true);
  await eventually(async () => {
    await using client = await connect(gateway.url('/chat'));
    return client.socket.readyState === client.socket.OPEN;
  });
});

test('there are no limits per address by default', async () => {
  await using gateway = await startGateway();
  const clients = await Promise.all(Array.from({ length: 50 }, () => connect(gateway.url('/chat'))));
  await holds(() => clients.every(({ socket }) => socket.readyState === socket.OPEN), 100);
  for (const client of clients) await client[Symbol.asyncDispose]();
});
