import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { createPush } from '../../../runtime/peers/push.ts';
import { type Client, connect } from '../../kit/client.ts';
import { eventually } from '../../kit/eventually.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

async function ask(gateway: TestGateway, path: string, init: RequestInit = { method: 'POST' }): Promise<Answer> {
  const response = await fetch(gateway.managementUrl + path, init);
  const text = await response.text();
  const body = text === '' ? {} : JSON.parse(text);
  return { status: response.status, code: body.code, body, headers: response.headers };
}

const post = (body: string | Uint8Array, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body: body as NonNullable<RequestInit['body']>,
  headers,
});

/** The connection's id, as a destination would learn it. */
async function idOf(gateway: TestGateway, client: Client): Promise<string> {
  const mark = randomUUID();
  client.send(mark);
  const message = await eventually(() => gateway.messages.find(({ body }) => body.message === mark) ?? false);
  return String(message.body.connection_id);
}

/** Two gateways of one group; the second is the one that is asked. */
async function startPair(
  spec: Record<string, unknown> = {},
): Promise<{ owner: TestGateway; other: TestGateway } & AsyncDisposable> {
  const broker = createMemoryBroker();
  const owner = await startGateway({ broker, spec });
  const other = await startGateway({ broker, spec, isConsumed: false });
  await eventually(() => other.gateway.readiness.reason === undefined);
  return {
    owner,
    other,
    async [Symbol.asyncDispose]() {
      await owner[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    },
  };
}

test('writes a push to the client before it answers 200, through its own gateway and through another', async () => {
  await using pair = await startPair();
  await using client = await connect(pair.owner.url('/chat'));
  const id = await idOf(pair.owner, client);
  for (const gateway of [pair.owner, pair.other]) {
    assert.equal((await ask(gateway, `/connections/${id}/_send`, post('grüß dich'))).status, 200);
    assert.equal(await client.nextText(), 'grüß dich');
    const octets = { 'content-type': 'application/octet-stream' };
    const binary = new Uint8Array([0, 0xff, 1]);
    assert.equal((await ask(gateway, `/connections/${id}/_send`, post(binary, octets))).status, 200);
    await eventually(() => client.binaries.length > 0);
    assert.deepEqual([...(client.binaries.pop() ?? [])], [...binary]);
  }
});

test('sends an empty message for an empty body', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  assert.equal((await ask(gateway, `/connections/${await idOf(gateway, client)}/_send`)).status, 200);
  assert.equal(await client.nextText(), '');
});

test('answers 410 for a closed connection, and for one of a gateway that has stopped', async () => {
  await using pair = await startPair();
  await using client = await connect(pair.owner.url('/chat'));
  const id = await idOf(pair.owner, client);
  client.socket.close();
  await client.closed;
  for (const gateway of [pair.owner, pair.other]) {
    const { status, code } = await eventually(async () => {
      const answer = await ask(gateway, `/connections/${id}/_send`, post('x'));
      return answer.status === 410 && answer;
    });
    assert.deepEqual([status, code], [410, 'HYD_CONNECTION_GONE']);
  }
  await pair.owner.gateway.stop('test', 0);
  assert.equal((await ask(pair.other, `/connections/${id}/_send`, post('x'))).status, 410);
  assert.equal((await ask(pair.other, `/connections/${id}/_disconnect`)).status, 410);
  assert.equal((await ask(pair.other, `/connections/${id}`, {})).status, 410);
});

test('answers 404 for anything that is not a connection id, whatever it contains', async () => {
  await using gateway = await startGateway();
  const ids = ['*', '>', 'a.b', 'a b', '..', '%2e%2e', 'x'.repeat(900), 'a-b', `${'0'.repeat(12)}-${'0'.repeat(31)}`];
  for (const id of [...ids, `${'0'.repeat(12)}-${'G'.repeat(32)}`, '__proto__', '%00']) {
    const path = `/connections/${encodeURIComponent(id).replaceAll('%252e', '%2e')}`;
    for (const [suffix, init] of [
      ['/_send', post('x')],
      ['/_disconnect', post('')],
      ['', {}],
    ] as const) {
      const { status } = await ask(gateway, path + suffix, init);
      assert.equal(status, 404, `${id}${suffix}`);
    }
  }
  const huge = await ask(gateway, `/connections/${'x'.repeat(10_000)}/_send`, post('x'));
  assert.equal(huge.status, 404);
  const malformed = await ask(gateway, '/connections/%zz/_send', post('x'));
  assert.deepEqual([malformed.status, malformed.code], [400, 'HYD_BAD_REQUEST']);
});

test('answers 413 for a body over the limit, with a length and without one', async () => {
  await using gateway = await startGateway({ spec: { management: { maxBodyBytes: 1000 } } });
  await using client = await connect(gateway.url('/chat'));
  const id = await idOf(gateway, client);
  assert.equal((await ask(gateway, `/connections/${id}/_send`, post('x'.repeat(1000)))).status, 200);
  const { status, code } = await ask(gateway, `/connections/${id}/_send`, post('x'.repeat(1001)));
  assert.deepEqual([status, code], [413, 'HYD_MESSAGE_TOO_LARGE']);
  const chunks = new ReadableStream({
    start(controller) {
      for (let index = 0; index < 20; index++) controller.enqueue(new Uint8Array(100));
      controller.close();
    },
  });
  const chunked = { method: 'POST', body: chunks, duplex: 'half' } as RequestInit;
  assert.equal((await ask(gateway, `/connections/${id}/_send`, chunked)).status, 413);
  assert.equal((await ask(gateway, `/connections/_broadcast`, post('x'.repeat(1001)))).status, 413);
});

test('answers 400 for text that is not UTF-8', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const id = await idOf(gateway, client);
  const { status, code } = await ask(gateway, `/connections/${id}/_send`, post(new Uint8Array([0xc3, 0x28])));
  assert.deepEqual([status, code], [400, 'HYD_INVALID_UTF8']);
});

test('closes a connection with the code and reason of the service, through any gateway', async () => {
  await using pair = await startPair();
  for (const [gateway, query, reason, expected] of [
    [pair.owner, '', 'policy', 1008],
    [pair.other, '?code=1000', '', 1000],
    [pair.other, '?code=4321', 'ü'.repeat(61), 4321],
  ] as const) {
    await using client = await connect(pair.owner.url('/chat'));
    const id = await idOf(pair.owner, client);
    assert.equal((await ask(gateway, `/connections/${id}/_disconnect${query}`, post(reason))).status, 204);
    assert.deepEqual(await client.closed, { code: expected, reason });
  }
});

test('answers 400 for a close code that is not allowed and a reason that does not fit', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const path = `/connections/${await idOf(gateway, client)}/_disconnect`;
  for (const code of ['1001', '1005', '1006', '2999', '5000', '0', '-1', 'abc', '1e3', '99999', '']) {
    const answer = await ask(gateway, `${path}?code=${code}`);
    assert.deepEqual([code, answer.status, answer.code], [code, 400, 'HYD_CLOSE_CODE_INVALID']);
  }
  assert.equal((await ask(gateway, `${path}?code=1000&code=1001`)).status, 400);
  for (const reason of ['x'.repeat(124), 'ü'.repeat(62), new Uint8Array([0xff])]) {
    const answer = await ask(gateway, path, post(reason));
    assert.deepEqual([answer.status, answer.code], [400, 'HYD_CLOSE_REASON_INVALID']);
  }
  const own = await ask(gateway, `${path}?code=4001`, post('HYD_CONNECTION_EXPIRED: not really'));
  assert.deepEqual([own.status, own.code], [400, 'HYD_CLOSE_REASON_INVALID']);
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

test('broadcasts to every connection of the group, or to those of some endpoints', async () => {
  await using pair = await startPair();
  await using a = await connect(pair.owner.url('/chat'));
  await using b = await connect(pair.other.url('/chat'));
  await using c = await connect(pair.other.url('/feed'));
  assert.equal((await ask(pair.owner, '/connections/_broadcast', post('all'))).status, 202);
  assert.deepEqual(await Promise.all([a, b, c].map((client) => client.nextText())), ['all', 'all', 'all']);
  assert.equal((await ask(pair.other, '/connections/_broadcast?endpoints[]=/chat', post('chat'))).status, 202);
  assert.equal(
    (await ask(pair.other, '/connections/_broadcast?endpoints[]=/chat&endpoints[]=/feed', post('both'))).status,
    202,
  );
  assert.deepEqual([await a.nextText(), await a.nextText()], ['chat', 'both']);
  assert.deepEqual([await b.nextText(), await b.nextText()], ['chat', 'both']);
  assert.equal(await c.nextText(), 'both');
  assert.equal(
    (await ask(pair.other, '/connections/_broadcast?endpoints[]=chat', post('x'))).code,
    'HYD_ENDPOINTS_INVALID',
  );
  assert.equal((await ask(pair.other, '/connections/_broadcast?endpoint[]=/chat', post('x'))).code, 'HYD_BAD_REQUEST');
});

test('answers 429 or 504 and keeps memory bounded when the client does not read, and closes it when a broadcast has no room', async () => {
  await using gateway = await startGateway({ spec: { limits: { maxBufferedBytes: 600_000 } } });
  await using client = await connect(gateway.url('/chat'));
  const id = await idOf(gateway, client);
  client.socket.pause();
  const body = new Uint8Array(500_000);
  const octets = { 'content-type': 'application/octet-stream' };
  // The first few are taken by the kernel, then one stays in the queue, and for the next there is no room.
  const answers: Promise<number>[] = [];
  const statuses = new Set<number>();
  await eventually(
    () => {
      const answer = ask(gateway, `/connections/${id}/_send`, post(body, octets)).then(({ status }) => status);
      answers.push(answer);
      void answer.then((status) => statuses.add(status));
      return statuses.has(429);
    },
    { timeoutMs: 20_000, everyMs: 100 },
  );
  const described = await ask(gateway, `/connections/${id}`, {});
  assert.ok(Number(described.body.buffered_bytes) <= 600_000);
  assert.deepEqual(new Set(await Promise.all(answers)), new Set([200, 429, 504]));
  assert.equal((await ask(gateway, '/connections/_broadcast', post(body, octets))).status, 202);
  await eventually(
    () => gateway.lines.some(({ msg, code }) => msg === 'connection closed' && code === 'HYD_SLOW_CLIENT'),
    {
      timeoutMs: 20_000,
    },
  );
});

test('answers 503 with a Retry-After while the bus is down, but still reaches its own connections', async () => {
  await using pair = await startPair();
  await using client = await connect(pair.owner.url('/chat'));
  const id = await idOf(pair.owner, client);
  pair.owner.broker.setDown(true);
  const { status, code, headers } = await ask(pair.other, `/connections/${id}/_send`, post('x'));
  assert.deepEqual([status, code], [503, 'HYD_BUS_UNREACHABLE']);
  assert.ok(headers.get('retry-after'));
  assert.equal((await ask(pair.other, '/connections/_broadcast', post('x'))).status, 503);
  assert.equal((await ask(pair.owner, `/connections/${id}/_send`, post('still here'))).status, 200);
  assert.equal(await client.nextText(), 'still here');
});

test('describes a connection', async () => {
  await using pair = await startPair();
  await using client = await connect(pair.owner.url('/feed'), { subprotocols: ['v1'] });
  const id = await idOf(pair.owner, client);
  const { status, body } = await ask(pair.other, `/connections/${id}`, {});
  assert.equal(status, 200);
  assert.deepEqual(
    { id: body.connection_id, endpoint: body.endpoint, subprotocol: body.subprotocol, state: body.state },
    { id, endpoint: '/feed', subprotocol: 'v1', state: 'open' },
  );
});

test('requires the bearer token of the secret on everything but /health', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hydrogen-secrets-'));
  await mkdir(join(dir, 'api'));
  await writeFile(join(dir, 'api', 'token'), 's3cret');
  await using gateway = await startGateway({
    secretsDir: dir,
    spec: { management: { tokenSecretRef: { name: 'api', key: 'token' } } },
  });
  for (const authorization of [undefined, 'Bearer wrong', 'Bearer s3cret2', 'Basic s3cret', 'Bearer ']) {
    const init = authorization === undefined ? post('x') : post('x', { authorization });
    const { status, code } = await ask(gateway, '/connections/_broadcast', init);
    assert.deepEqual([authorization, status, code], [authorization, 401, 'HYD_TOKEN_INVALID']);
  }
  assert.equal(
    (await ask(gateway, '/connections/_broadcast', post('x', { authorization: 'Bearer s3cret' }))).status,
    202,
  );
  assert.equal((await ask(gateway, '/health', {})).status, 200);
  assert.equal((await ask(gateway, '/healthcheck-of-something-else', {})).status, 401);
  await rm(dir, { recursive: true });
});

test('answers unknown requests with 404 and malformed ones with 400, in the form of the error table', async () => {
  await using gateway = await startGateway();
  assert.deepEqual((await ask(gateway, '/nope', {})).code, 'HYD_NOT_FOUND');
  assert.deepEqual((await ask(gateway, '/connections/_broadcast', {})).status, 404);
  const socket = connectTcp(gateway.gateway.ports.management, '127.0.0.1');
  socket.write('GET / HTTP/9.9\r\n\r\n');
  const [chunk] = (await new Promise((resolve) => socket.once('data', (data) => resolve([data])))) as [Buffer];
  assert.match(chunk.toString(), /^HTTP\/1\.1 400 /);
  socket.destroy();
});

test('answers 500 and logs the reason when the secret of the token is missing, without revealing it to the caller', async () => {
  await using gateway = await startGateway({ spec: { management: { tokenSecretRef: { name: 'api', key: 'token' } } } });
  const { status, code, body } = await ask(gateway, '/connections/_broadcast', post('x'));
  assert.deepEqual([status, code], [500, 'HYD_INTERNAL']);
  assert.doesNotMatch(JSON.stringify(body), /token|nonexistent/);
  assert.match(JSON.stringify(gateway.lines.find(({ msg }) => msg === 'unexpected failure')), /secret api, key token/);
});

test('a reply does not wait: a client that does not read is closed when its buffer has no room', async () => {
  await using gateway = await startGateway({ spec: { limits: { maxBufferedBytes: 600_000 } } });
  await using client = await connect(gateway.url('/chat'));
  const connectionId = await idOf(gateway, client);
  client.socket.pause();
  const bus = gateway.broker.connect();
  await bus.start();
  const push = createPush(bus, 5_000);
  const data = new Uint8Array(500_000);
  const last = await eventually(async () => {
    const startedAtMs = performance.now();
    const { status } = await push.ask({ kind: 'reply', connectionId, data, isBinary: true });
    assert.ok(performance.now() - startedAtMs < 2_000, 'a reply waited for the client');
    return status !== 'done' && status;
  });
  assert.equal(last, 'full');
  await eventually(
    () => gateway.lines.some(({ msg, code }) => msg === 'connection closed' && code === 'HYD_SLOW_CLIENT'),
    {
      timeoutMs: 20_000,
    },
  );
  await bus.stop();
});

test('takes the body of a request whose content type is no media type as text', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const path = `/connections/${await idOf(gateway, client)}/_send`;
  for (const type of ['text', 'text/', ';', 'a/b/c', 'text/plain; charset', '"']) {
    assert.equal((await ask(gateway, path, post(type, { 'content-type': type }))).status, 200, type);
    assert.equal(await client.nextText(), type);
  }
});

test('refuses a body with a content encoding with 415', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const path = `/connections/${await idOf(gateway, client)}/_send`;
  const refused = await ask(gateway, path, post('x', { 'content-encoding': 'gzip' }));
  assert.deepEqual([refused.status, refused.code], [415, 'HYD_ENCODING_UNSUPPORTED']);
  assert.equal((await ask(gateway, path, post('x', { 'content-encoding': 'identity' }))).status, 200);
});
