import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import test from 'node:test';
import { connect, refusal } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';

const handshake = {
  Host: 'gateway.test',
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
};

/** Sends raw bytes and resolves with everything that comes back until the end. */
async function raw(gateway: TestGateway, text: string): Promise<string> {
  const socket = connectTcp(gateway.gateway.ports.client, '127.0.0.1');
  socket.write(text);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  await once(socket, 'close');
  return answer;
}

function request(line: string, headers: Record<string, string>): string {
  return `${line}\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;
}

const malformed: [title: string, line: string, headers: Record<string, string>][] = [
  ['a method that is not GET', 'POST /chat HTTP/1.1', handshake],
  ['another protocol', 'GET /chat HTTP/1.1', { ...handshake, Upgrade: 'h2c' }],
  ['no key', 'GET /chat HTTP/1.1', { ...handshake, 'Sec-WebSocket-Key': '' }],
  ['a key that is not 16 bytes', 'GET /chat HTTP/1.1', { ...handshake, 'Sec-WebSocket-Key': 'c2hvcnQ=' }],
  ['an unknown version', 'GET /chat HTTP/1.1', { ...handshake, 'Sec-WebSocket-Version': '12' }],
  ['a subprotocol twice', 'GET /chat HTTP/1.1', { ...handshake, 'Sec-WebSocket-Protocol': 'a, a' }],
  ['HTTP/1.0', 'GET /chat HTTP/1.0', handshake],
  ['an empty subprotocol', 'GET /chat HTTP/1.1', { ...handshake, 'Sec-WebSocket-Protocol': 'a,,b' }],
];

for (const [title, line, headers] of malformed) {
  test(`refuses an upgrade with ${title} with 400 and keeps serving`, async () => {
    await using gateway = await startGateway();
    const answer = await raw(gateway, request(line, headers));
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /HYD_BAD_UPGRADE/);
    await using client = await connect(gateway.url('/chat'));
    assert.equal(client.socket.readyState, client.socket.OPEN);
  });
}

test('answers bytes that are not HTTP with 400 and keeps serving', async () => {
  await using gateway = await startGateway();
  assert.match(await raw(gateway, '\x16\x03\x01\x02\x00garbage\r\n\r\n'), /^HTTP\/1\.1 400 /);
  await using client = await connect(gateway.url('/chat'));
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

test('answers a request that is not an upgrade with 426', async () => {
  await using gateway = await startGateway();
  const response = await fetch(gateway.url('/chat').replace('ws:', 'http:'));
  assert.equal(response.status, 426);
  assert.equal(((await response.json()) as { code: string }).code, 'HYD_UPGRADE_REQUIRED');
});

test('refuses a path that is not an endpoint with 404, however similar it is to one', async () => {
  await using gateway = await startGateway();
  for (const path of ['/', '/cha', '/chat/', '/chat/x', '/CHAT', '//chat', '/%63hat']) {
    const { status, body } = await refusal(gateway.url(path));
    assert.deepEqual([path, status, body.code], [path, 404, 'HYD_UNKNOWN_ENDPOINT']);
  }
});

test('admits an endpoint with any query', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat?token=a%20b&token=c'));
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

const origins: [origin: string | undefined, isAllowed: boolean][] = [
  ['https://app.example.com', true],
  ['HTTPS://APP.EXAMPLE.COM', true],
  ['https://a.b.example.org', true],
  ['https://a.example.org:8443', false],
  [undefined, true],
  ['http://app.example.com', false],
  ['https://app.example.com.evil.test', false],
  ['https://evil.test/.example.org', false],
  ['https://example.org', false],
  ['https://evilexample.org', false],
  ['null', false],
];

test('admits allowed origins and clients without one, refuses the rest with 403', async () => {
  await using gateway = await startGateway({
    spec: { allowedOrigins: ['https://app.example.com', 'https://*.example.org'] },
  });
  for (const [origin, isAllowed] of origins) {
    const options = origin === undefined ? {} : { headers: { origin } };
    if (isAllowed) {
      await using client = await connect(gateway.url('/chat'), options);
      assert.equal(client.socket.readyState, client.socket.OPEN, origin);
    } else {
      const { status, body } = await refusal(gateway.url('/chat'), options);
      assert.deepEqual([origin, status, body.code], [origin, 403, 'HYD_ORIGIN_FORBIDDEN']);
    }
  }
});

test('admits any origin when none is configured', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'), { headers: { origin: 'https://anywhere.test' } });
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

test('chooses the first configured subprotocol that is offered', async () => {
  await using gateway = await startGateway({ spec: { subprotocols: ['v2', 'v1'] } });
  await using client = await connect(gateway.url('/chat'), { subprotocols: ['v0', 'v1', 'v2'] });
  assert.equal(client.socket.protocol, 'v2');
});

test('takes the first offer of the client when no subprotocol is configured', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'), { subprotocols: ['chat', 'token.abc'] });
  assert.equal(client.socket.protocol, 'chat');
});

test('refuses connections over maxConnections with 503 and a Retry-After, until one leaves', async () => {
  await using gateway = await startGateway({ spec: { limits: { maxConnections: 2 } } });
  await using first = await connect(gateway.url('/chat'));
  await using second = await connect(gateway.url('/chat'));
  const { status, headers, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [503, 'HYD_TOO_MANY_CONNECTIONS']);
  assert.match(String(headers['retry-after']), /^\d+$/);
  first.socket.close();
  await first.closed;
  await using third = await connect(gateway.url('/chat'));
  assert.equal(third.socket.readyState, second.socket.OPEN);
});

test('refuses upgrades with 503 while nobody consumes the endpoint, and says so in its readiness', async () => {
  await using gateway = await startGateway({ isConsumed: false });
  const { status, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [503, 'HYD_NOT_READY']);
  const ready = await fetch(`${gateway.probesUrl}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /no message processor consumes \/chat/);
  assert.equal((await fetch(`${gateway.probesUrl}/livez`)).status, 200);
});

test('refuses a client whose subprotocols it does not support before any service is asked', async () => {
  await using service = await startDestination();
  await using gateway = await startGateway({
    spec: {
      subprotocols: ['v2'],
      authorizer: { http: { url: service.url } },
      hooks: { connect: { url: service.url } },
    },
  });
  const { status, body } = await refusal(gateway.url('/chat'), { subprotocols: ['v0', 'v1'] });
  assert.deepEqual([status, body.code], [400, 'HYD_SUBPROTOCOL_UNKNOWN']);
  assert.equal(service.requests.length, 0);
  await using client = await connect(gateway.url('/chat'));
  assert.equal(client.socket.protocol, '');
});

for (const target of ['http://gateway.test/chat?a=b', 'WS://gateway.test:80/chat']) {
  test(`serves the absolute form ${target}`, async () => {
    await using gateway = await startGateway();
    const socket = connectTcp(gateway.gateway.ports.client, '127.0.0.1');
    socket.write(request(`GET ${target} HTTP/1.1`, handshake));
    const [chunk] = await once(socket, 'data');
    assert.match(String(chunk), /^HTTP\/1\.1 101 /);
    socket.destroy();
  });
}

for (const second of ['gateway.test', 'other.test']) {
  test(`refuses a request with a second Host header, ${second}`, async () => {
    await using gateway = await startGateway();
    const answer = await raw(gateway, request('GET /chat HTTP/1.1', { ...handshake, HOST: second }));
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /HYD_BAD_REQUEST/);
  });
}
