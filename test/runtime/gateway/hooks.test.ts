import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { connect, refusal } from '../../kit/client.ts';
import { type CannedAnswer, startDestination } from '../../kit/destination.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';

const call = (url: string, more: object = {}): object => ({ url, timeoutSeconds: 1, ...more });

test('asks the authorizer with the upgrade request and carries its context in every message', async () => {
  await using auth = await startDestination(() => ({
    body: JSON.stringify({ context: { user: 'alice', roles: ['a'] } }),
  }));
  await using gateway = await startGateway({
    spec: { authorizer: { http: call(auth.url, { headers: [{ name: 'X-Key', value: 'k' }] }) } },
  });
  await using client = await connect(gateway.url('/chat?token=a%20b&token=c'), {
    headers: { cookie: 'session=1', 'hydrogen-attempt': '9', 'X-Case': 'Kept' },
    subprotocols: ['v1', 'v2'],
  });
  client.send('hi');
  await eventually(() => gateway.messages.length === 1);
  assert.deepEqual(gateway.messages[0]?.body.context, { authorizer: { user: 'alice', roles: ['a'] } });
  const [request] = auth.requests;
  assert.ok(request);
  assert.equal(request.headers['content-type'], 'application/json');
  assert.equal(request.headers['x-key'], 'k');
  assert.equal(request.headers['hydrogen-callback'], 'http://callback.test');
  const body = request.json();
  assert.deepEqual(Object.keys(body).sort(), [
    'callback',
    'connection_id',
    'endpoint',
    'group_id',
    'headers',
    'instance_id',
    'query',
    'remote_address',
    'subprotocols',
    'time',
  ]);
  assert.deepEqual(body.query, [
    ['token', 'a b'],
    ['token', 'c'],
  ]);
  assert.deepEqual(body.subprotocols, ['v1', 'v2']);
  assert.equal(body.remote_address, '127.0.0.1');
  const headers = body.headers as [string, string][];
  assert.deepEqual(
    headers.filter(([name]) => ['cookie', 'X-Case', 'hydrogen-attempt'].includes(name)),
    [
      ['cookie', 'session=1'],
      ['X-Case', 'Kept'],
    ],
  );
});

test('sends a configured user-agent instead of its own', async () => {
  await using auth = await startDestination(() => ({ body: '{}' }));
  const headers = [{ name: 'User-Agent', value: 'mine' }];
  await using gateway = await startGateway({ spec: { authorizer: { http: call(auth.url, { headers }) } } });
  await using _client = await connect(gateway.url('/chat'));
  assert.equal(auth.requests[0]?.headers['user-agent'], 'mine');
});

test('logs which secret an authorizer lacks, and does not reveal it to the client', async () => {
  await using auth = await startDestination();
  const headers = [{ name: 'X-Key', valueFrom: { secretKeyRef: { name: 'auth', key: 'token' } } }];
  await using gateway = await startGateway({ spec: { authorizer: { http: call(auth.url, { headers }) } } });
  const { status, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [503, 'HYD_AUTHORIZER_UNAVAILABLE']);
  assert.doesNotMatch(body.message ?? '', /secret/);
  const line = gateway.lines.find(({ msg }) => msg === 'upgrade refused');
  assert.match(String(line?.detail), /secret auth, key token: there is no file/);
});

const verdicts: [title: string, answer: CannedAnswer, status: number, code: string][] = [
  ['403', { status: 403 }, 403, 'HYD_FORBIDDEN'],
  ['401', { status: 401 }, 401, 'HYD_UNAUTHORIZED'],
  ['404', { status: 404 }, 401, 'HYD_UNAUTHORIZED'],
  ['500', { status: 500 }, 503, 'HYD_AUTHORIZER_UNAVAILABLE'],
  ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 503, 'HYD_AUTHORIZER_UNAVAILABLE'],
  ['204', { status: 204 }, 503, 'HYD_AUTHORIZER_UNAVAILABLE'],
  ['garbage', { body: '<html>' }, 503, 'HYD_AUTHORIZER_INVALID'],
  ['an array', { body: '[]' }, 503, 'HYD_AUTHORIZER_INVALID'],
  ['null', { body: 'null' }, 503, 'HYD_AUTHORIZER_INVALID'],
  ['a context that is a string', { body: '{"context":"admin"}' }, 503, 'HYD_AUTHORIZER_INVALID'],
  ['a context that is an array', { body: '{"context":[]}' }, 503, 'HYD_AUTHORIZER_INVALID'],
  ['10 MB', { body: JSON.stringify({ context: { x: 'x'.repeat(10_000_000) } }) }, 503, 'HYD_AUTHORIZER_INVALID'],
  [
    'a context over maxContextBytes',
    { body: `{"context":{"x":"${'x'.repeat(17_000)}"}}` },
    503,
    'HYD_AUTHORIZER_INVALID',
  ],
  ['a subprotocol that was not offered', { body: '{"subprotocol":"v9"}' }, 503, 'HYD_AUTHORIZER_INVALID'],
];

for (const [title, answer, status, code] of verdicts) {
  test(`refuses the upgrade with ${status} when the authorizer answers with ${title}`, async () => {
    await using auth = await startDestination(() => answer);
    await using gateway = await startGateway({ spec: { authorizer: { http: call(auth.url) } } });
    const refused = await refusal(gateway.url('/chat'));
    assert.deepEqual([refused.status, refused.body.code], [status, code]);
  });
}

test('refuses the upgrade with 503 when the authorizer hangs or is unreachable', async () => {
  await using auth = await startDestination(() => 'handled');
  await using hanging = await startGateway({ spec: { authorizer: { http: call(auth.url) } } });
  assert.equal((await refusal(hanging.url('/chat'))).body.code, 'HYD_AUTHORIZER_UNAVAILABLE');
  await using absent = await startGateway({ spec: { authorizer: { http: call('http://127.0.0.1:1/') } } });
  assert.equal((await refusal(absent.url('/chat'))).status, 503);
});

test('does not call the authorizer for an upgrade that is refused anyway', async () => {
  await using auth = await startDestination();
  await using gateway = await startGateway({
    spec: { authorizer: { http: call(auth.url) }, allowedOrigins: ['https://a.test'] },
  });
  assert.equal((await refusal(gateway.url('/nope'))).status, 404);
  assert.equal((await refusal(gateway.url('/chat'), { headers: { origin: 'https://b.test' } })).status, 403);
  assert.equal(auth.requests.length, 0);
});

test('admits with an empty context when the authorizer answers 200 without one, and uses its subprotocol', async () => {
  await using auth = await startDestination(() => ({ body: '{"subprotocol":"v2"}' }));
  await using gateway = await startGateway({ spec: { authorizer: { http: call(auth.url) } } });
  await using client = await connect(gateway.url('/chat'), { subprotocols: ['v1', 'v2'] });
  assert.equal(client.socket.protocol, 'v2');
  client.send('hi');
  await eventually(() => gateway.messages.length === 1);
  assert.deepEqual(gateway.messages[0]?.body.context, { authorizer: {} });
});

test('delivers a push made from within the connect hook as the first message', async () => {
  await using gateway = await startGateway();
  await using hook = await startDestination(async (request) => {
    const url = `${gateway.managementUrl}/connections/${request.json().connection_id}/_send`;
    const first = await fetch(url, { method: 'POST', body: 'welcome' });
    const second = await fetch(url, { method: 'POST', body: 'to hydrogen' });
    return { status: first.status === 202 && second.status === 202 ? 200 : 500 };
  });
  gateway.reconfigure({ hooks: { connect: call(hook.url) } });
  await using client = await connect(gateway.url('/chat'));
  assert.deepEqual([await client.nextText(), await client.nextText()], ['welcome', 'to hydrogen']);
});

test('refuses the upgrade with 500 when the connect hook does not answer 2xx, and then calls no disconnect hook', async () => {
  await using hook = await startDestination(() => ({ status: 409 }));
  await using gone = await startDestination();
  await using gateway = await startGateway({
    spec: { hooks: { connect: call(hook.url), disconnect: call(gone.url) } },
  });
  const { status, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [500, 'HYD_CONNECT_HOOK_REFUSED']);
  hook.handle(() => ({ status: 204 }));
  await using client = await connect(gateway.url('/chat'));
  client.socket.close(4001, 'bye');
  await eventually(() => gone.requests.length > 0);
  assert.equal(gone.requests.length, 1);
  assert.equal(gone.requests[0]?.json().connection_id, hook.requests[1]?.json().connection_id);
});

test('calls the disconnect hook with code, reason, context and how long the connection lasted', async () => {
  await using auth = await startDestination(() => ({ body: '{"context":{"user":"bob"}}' }));
  await using gone = await startDestination();
  await using gateway = await startGateway({
    spec: { authorizer: { http: call(auth.url) }, hooks: { disconnect: call(gone.url) } },
  });
  await using client = await connect(gateway.url('/chat'));
  client.socket.close(4001, 'enough');
  await eventually(() => gone.requests.length === 1);
  const body = gone.requests[0]?.json() ?? {};
  assert.deepEqual(
    { code: body.code, reason: body.reason, context: body.context, endpoint: body.endpoint },
    { code: 4001, reason: 'enough', context: { authorizer: { user: 'bob' } }, endpoint: '/chat' },
  );
  assert.equal(typeof body.connected_seconds, 'number');
});

test('calls the disconnect hook with 1006 when the client vanishes, and with the code of the gateway when the gateway closed it', async () => {
  await using gone = await startDestination();
  await using gateway = await startGateway({
    spec: { hooks: { disconnect: call(gone.url) }, limits: { maxMessageBytes: 10 } },
  });
  await using vanishing = await connect(gateway.url('/chat'));
  vanishing.socket.terminate();
  await eventually(() => gone.requests.length === 1);
  await using tooLarge = await connect(gateway.url('/chat'));
  tooLarge.send('x'.repeat(11));
  await eventually(() => gone.requests.length === 2);
  assert.deepEqual(
    gone.requests.map((request) => request.json().code),
    [1006, 1009],
  );
});

test('retries the disconnect hook until 2xx, and logs when it gives up', async () => {
  let failures = 0;
  await using gone = await startDestination(() => ({ status: failures++ < 2 ? 503 : 200 }));
  await using gateway = await startGateway({ spec: { hooks: { disconnect: call(gone.url, { maxAttempts: 3 }) } } });
  await using client = await connect(gateway.url('/chat'));
  client.socket.close();
  await eventually(() => gone.requests.length === 3);
  gone.handle(() => ({ status: 500 }));
  await using second = await connect(gateway.url('/chat'));
  second.socket.close();
  await eventually(() => gateway.lines.some(({ msg }) => msg === 'hook given up'));
  assert.equal(gone.requests.length, 6);
  assert.equal(gateway.lines.filter(({ msg }) => msg === 'hook failed, will retry').length, 4);
});

test('sends header values from secrets, picks up a rotated one, and refuses when the secret is missing', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hydrogen-secrets-'));
  await using auth = await startDestination();
  const headers = [{ name: 'Authorization', valueFrom: { secretKeyRef: { name: 'auth', key: 'token' } } }];
  await using gateway = await startGateway({
    spec: { authorizer: { http: call(auth.url, { headers }) } },
    secretsDir: dir,
  });
  const { status, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code, auth.requests.length], [503, 'HYD_AUTHORIZER_UNAVAILABLE', 0]);
  await mkdir(join(dir, 'auth'));
  await writeFile(join(dir, 'auth', 'token'), 'Bearer one\n');
  await using first = await connect(gateway.url('/chat'));
  assert.equal(auth.requests.at(-1)?.headers.authorization, 'Bearer one');
  await writeFile(join(dir, 'auth', 'token'), 'Bearer two\n');
  await eventually(
    async () => {
      await using client = await connect(gateway.url('/chat'));
      return (
        client.socket.readyState === first.socket.OPEN && auth.requests.at(-1)?.headers.authorization === 'Bearer two'
      );
    },
    { timeoutMs: 10_000, everyMs: 200 },
  );
  await rm(dir, { recursive: true });
});

test('calls the disconnect hook once for a client that left while its connect hook was running', async () => {
  await using gone = await startDestination();
  let answer = (): void => {};
  await using hook = await startDestination(async () => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return undefined;
  });
  await using gateway = await startGateway({
    spec: { hooks: { connect: call(hook.url), disconnect: call(gone.url) } },
  });
  const socket = connectTcp(gateway.gateway.ports.client, '127.0.0.1');
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
  socket.write(
    `GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  );
  await eventually(() => hook.requests.length === 1);
  socket.resetAndDestroy();
  answer();
  await eventually(() => gone.requests.length === 1);
  await holds(() => gone.requests.length === 1, 200);
  assert.equal(gone.requests[0]?.json().code, 1006);
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  assert.doesNotMatch(metrics, /^hydrogen_gateway_connections\{.*\} [1-9]/m);
});

test('refuses a client that the connect hook admitted if the bus went down meanwhile, and calls the disconnect hook', async () => {
  await using gone = await startDestination();
  await using gateway = await startGateway();
  await using hook = await startDestination(() => {
    gateway.broker.setDown(true);
    return undefined;
  });
  gateway.reconfigure({ hooks: { connect: call(hook.url), disconnect: call(gone.url) } });
  assert.equal((await refusal(gateway.url('/chat'))).body.code, 'HYD_NOT_READY');
  await eventually(() => gone.requests.length === 1);
});

test('buffers no more than maxBufferedBytes for a connection that is not open yet', async () => {
  const statuses: number[] = [];
  await using gateway = await startGateway();
  await using hook = await startDestination(async (request) => {
    const url = `${gateway.managementUrl}/connections/${request.json().connection_id}/_send`;
    for (let index = 0; index < 3; index++) {
      statuses.push((await fetch(url, { method: 'POST', body: 'x'.repeat(40_000) })).status);
    }
    return undefined;
  });
  const limits = { maxBufferedBytes: 100_000 };
  gateway.reconfigure({ hooks: { connect: call(hook.url) }, limits, management: { maxBodyBytes: 50_000 } });
  await using client = await connect(gateway.url('/chat'));
  assert.deepEqual(statuses, [202, 202, 429]);
  await eventually(() => client.texts.length === 2);
});

test('closes a client with the code of a service that disconnected it while its connect hook was running', async () => {
  await using gateway = await startGateway();
  await using hook = await startDestination(async (request) => {
    const url = `${gateway.managementUrl}/connections/${request.json().connection_id}/_disconnect?code=4001`;
    assert.equal((await fetch(url, { method: 'POST', body: 'not you' })).status, 204);
    return undefined;
  });
  gateway.reconfigure({ hooks: { connect: call(hook.url) } });
  await using client = await connect(gateway.url('/chat'));
  assert.deepEqual(await client.closed, { code: 4001, reason: 'not you' });
});

test('calls another authorizer as soon as the configuration names it', async () => {
  await using strict = await startDestination(() => ({ status: 403 }));
  await using lenient = await startDestination();
  await using gateway = await startGateway({ spec: { authorizer: { http: call(strict.url) } } });
  assert.equal((await refusal(gateway.url('/chat'))).status, 403);
  gateway.reconfigure({ authorizer: { http: call(lenient.url) } });
  await using client = await connect(gateway.url('/chat'));
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

test('refuses a context that is nested too deeply to be serialised', async () => {
  const depth = 3_000;
  await using auth = await startDestination(() => ({
    body: `{"context":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`,
  }));
  await using gateway = await startGateway({
    spec: { authorizer: { http: call(auth.url) }, limits: { maxContextBytes: 65_536 } },
  });
  assert.equal((await refusal(gateway.url('/chat'))).body.code, 'HYD_AUTHORIZER_INVALID');
  auth.handle(() => ({ body: '{"context":{"__proto__":{"admin":true},"a":1}}' }));
  await using client = await connect(gateway.url('/chat'));
  client.send('hi');
  await eventually(() => gateway.messages.length === 1);
  assert.equal(JSON.stringify(gateway.messages[0]?.body.context), '{"authorizer":{"__proto__":{"admin":true},"a":1}}');
});

test('carries the context byte for byte into messages and hooks', async () => {
  const context = '{ "id": 1234567890123456789, "huge": 1e400, "text": "\\u0000\\ud800", "a": 1, "a": 2 }';
  await using service = await startDestination(({ path }) => ({
    body: path === '/auth' ? `\ufeff{"x": {"context": 1}, "context": ${context}}` : '',
  }));
  const raw: string[] = [];
  await using gateway = await startGateway({
    spec: {
      authorizer: { http: call(`${service.url}auth`) },
      hooks: { connect: call(`${service.url}connect`), disconnect: call(`${service.url}disconnect`) },
    },
    onDelivery: (delivery) => {
      raw.push(Buffer.from(delivery.payload).toString());
      delivery.ack();
    },
  });
  await using client = await connect(gateway.url('/chat'));
  client.send('hi');
  await eventually(() => raw.length === 1);
  client.socket.close();
  await eventually(() => service.requests.length === 3);
  const bodies = [...raw, ...service.requests.slice(1).map(({ body }) => body.toString())];
  for (const body of bodies) {
    assert.ok(body.includes(`"context":{"authorizer":${context}}`), body);
    JSON.parse(body);
  }
});

test('reads an answer that the authorizer compressed without being asked', async () => {
  await using auth = await startDestination(({ headers }) => {
    assert.equal(headers['accept-encoding'], 'identity');
    return { headers: { 'content-encoding': 'gzip' }, body: gzipSync('{"context": {"user": "alice"}}') };
  });
  await using gateway = await startGateway({ spec: { authorizer: { http: call(auth.url) } } });
  await using client = await connect(gateway.url('/chat'));
  client.send('hi');
  await eventually(() => gateway.messages.length === 1);
  assert.deepEqual(gateway.messages[0]?.body.context, { authorizer: { user: 'alice' } });
});

for (const [title, answer, detail] of [
  ['a bomb', { headers: { 'content-encoding': 'gzip' }, body: gzipSync(Buffer.alloc(20_000_000)) }, /larger than/],
  ['what is no gzip', { headers: { 'content-encoding': 'gzip' }, body: '{}' }, /not valid gzip/],
  ['an unknown coding', { headers: { 'content-encoding': 'rot13' }, body: '{}' }, /was not asked for/],
  ['what is not UTF-8', { body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }, /not JSON/],
] as const) {
  test(`refuses the upgrade when the authorizer answers with ${title}, and logs why`, async () => {
    await using auth = await startDestination(() => answer);
    await using gateway = await startGateway({ spec: { authorizer: { http: call(auth.url) } } });
    assert.equal((await refusal(gateway.url('/chat'))).status, 503);
    assert.match(String(gateway.lines.find(({ msg }) => msg === 'upgrade refused')?.detail), detail);
  });
}
