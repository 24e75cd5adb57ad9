import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { type CallResult, type HttpRequest, parseTarget } from '../../../../runtime/http/client/call.ts';
import { createHttpClient, type HttpClientOptions } from '../../../../runtime/http/client/client.ts';
import { startDestination } from '../../../kit/destination.ts';
import { eventually, holds } from '../../../kit/eventually.ts';

function startClient(options?: HttpClientOptions) {
  const client = createHttpClient(options);
  const post = (url: string, call: Partial<HttpRequest> = {}): Promise<CallResult> =>
    client.post({
      url: new URL(url),
      headers: ['content-type', 'text/plain'],
      body: 'hello',
      timeoutMs: 5_000,
      maxAnswerBytes: 1_000,
      readBody: true,
      ...call,
    });
  return { post, close: client.close, [Symbol.asyncDispose]: client.close };
}

/** A TCP server that treats every connection as told. */
async function startTcp(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.resume();
    socket.on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return {
    port: address.port,
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answerOf(result: CallResult) {
  assert(result.kind === 'answer', `${result.kind} instead of an answer`);
  return result;
}

test('posts headers and body as they are and returns status, headers and body', async () => {
  await using destination = await startDestination(() => ({
    status: 418,
    headers: { 'Retry-After': '7' },
    body: 'tea',
  }));
  await using client = startClient();
  const answer = answerOf(await client.post(`${destination.url}a/b?c=d`, { headers: ['x-one', '1', 'x-two', '2'] }));
  assert.equal(answer.status, 418);
  assert.equal(answer.headers('retry-after'), '7');
  assert.equal(answer.headers('x-absent'), undefined);
  assert.equal(Buffer.from(answer.body).toString(), 'tea');
  const [request] = destination.requests;
  assert.equal(request?.method, 'POST');
  assert.equal(request?.path, '/a/b?c=d');
  assert.equal(request?.headers['x-one'], '1');
  assert.equal(request?.headers['x-two'], '2');
  assert.equal(request?.body.toString(), 'hello');
});

test('accepts a prepared target and a record of headers', async () => {
  await using destination = await startDestination();
  await using client = startClient();
  const url = parseTarget(`${destination.url}x?y`);
  assert(url !== undefined);
  answerOf(await client.post(destination.url, { url, headers: { 'x-one': '1' }, body: Buffer.from('bytes') }));
  assert.equal(destination.requests[0]?.path, '/x?y');
  assert.equal(destination.requests[0]?.headers['x-one'], '1');
  assert.equal(destination.requests[0]?.body.toString(), 'bytes');
});

test('refuses targets that are not http or https, or contain credentials', () => {
  for (const url of [
    'ftp://a/',
    'file:///etc/passwd',
    'http://u:p@a/',
    'http://u@a/',
    '/relative',
    '',
    'javascript:1',
  ]) {
    assert.equal(parseTarget(url), undefined, url);
  }
});

test('never follows a redirect', async () => {
  await using other = await startDestination();
  for (const status of [301, 302, 303, 307, 308]) {
    await using destination = await startDestination(() => ({ status, headers: { location: other.url } }));
    await using client = startClient();
    assert.equal(answerOf(await client.post(destination.url)).status, status);
  }
  assert.equal(other.requests.length, 0);
});

test('skips informational answers', async () => {
  await using destination = await startDestination((_request, response) => {
    response.writeEarlyHints({ link: '</a>; rel=preload' });
    return { status: 201, body: 'made' };
  });
  await using client = startClient();
  const answer = answerOf(await client.post(destination.url));
  assert.equal(answer.status, 201);
  assert.equal(Buffer.from(answer.body).toString(), 'made');
});

test('times out after an informational answer without mistaking it for the status', async () => {
  await using destination = await startDestination((_request, response) => {
    response.writeEarlyHints({ link: '</a>; rel=preload' });
    return 'handled';
  });
  await using client = startClient();
  assert.deepEqual(await client.post(destination.url, { timeoutMs: 100 }), { kind: 'timeout' });
  assert.deepEqual(await client.post(destination.url, { timeoutMs: 100, readBody: false }), { kind: 'timeout' });
});

test('reuses connections for successive calls, also when bodies are not asked for', async () => {
  await using destination = await startDestination(() => ({ body: 'x'.repeat(500) }));
  await using client = startClient();
  for (let i = 0; i < 10; i++) answerOf(await client.post(destination.url, { readBody: false }));
  assert.equal(destination.requests.length, 10);
  // Undici frees a connection one turn of the event loop after its answer, so two take turns.
  assert(destination.connections <= 2, `${destination.connections} connections`);
});

test('replaces connections that are older than maxConnectionAgeMs without losing a call', async () => {
  let release = (): void => {};
  await using destination = await startDestination();
  await using client = startClient({ maxConnectionAgeMs: 20 });
  destination.handle(async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return {};
  });
  const slow = client.post(destination.url);
  await eventually(() => destination.requests.length === 1);
  destination.handle(() => undefined);
  await eventually(async () => {
    const results = await Promise.all(Array.from({ length: 4 }, () => client.post(destination.url)));
    for (const result of results) answerOf(result);
    return destination.connections >= 20;
  });
  release();
  answerOf(await slow);
});

test('sends no more than connectionsPerOrigin calls at once to an origin', async () => {
  let open = 0;
  let most = 0;
  await using destination = await startDestination(async () => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setTimeout(resolve, 5));
    open--;
    return {};
  });
  await using client = startClient({ connectionsPerOrigin: 3 });
  const results = await Promise.all(Array.from({ length: 30 }, () => client.post(destination.url)));
  assert.equal(results.filter(({ kind }) => kind === 'answer').length, 30);
  assert.equal(most, 3);
});

test('times out while waiting for a connection, and then never sends the call', async () => {
  let release = () => {};
  await using destination = await startDestination(async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return {};
  });
  await using client = startClient({ connectionsPerOrigin: 1 });
  const first = client.post(destination.url);
  await eventually(() => destination.requests.length === 1);
  assert.deepEqual(await client.post(destination.url, { timeoutMs: 50 }), { kind: 'timeout' });
  release();
  answerOf(await first);
  destination.handle(() => ({ status: 202 }));
  assert.equal(answerOf(await client.post(destination.url)).status, 202);
  assert.equal(destination.requests.length, 2);
});

test('times out when a connection is accepted but its TLS handshake never ends', async () => {
  await using tcp = await startTcp(() => {});
  await using client = startClient();
  assert.deepEqual(await client.post(`https://127.0.0.1:${tcp.port}/`, { timeoutMs: 100 }), { kind: 'timeout' });
});

test('does not try to connect for calls that timed out while an origin was dead', async () => {
  let connections = 0;
  await using tcp = await startTcp(() => connections++);
  await using client = startClient({ connectionsPerOrigin: 2, connectTimeoutMs: 300 });
  const url = `https://127.0.0.1:${tcp.port}/`;
  const results = await Promise.all(Array.from({ length: 6 }, () => client.post(url, { timeoutMs: 100 })));
  assert.deepEqual(new Set(results.map(({ kind }) => kind)), new Set(['timeout']));
  // A handshake is given up after a second at the latest; then nothing may be left that connects.
  await eventually(() => tcp.sockets.size === 0);
  await holds(() => connections === 2, 100);
});

test('gives up a handshake after connectTimeoutMs', async () => {
  await using tcp = await startTcp(() => {});
  await using client = startClient({ connectTimeoutMs: 100 });
  const result = await client.post(`https://127.0.0.1:${tcp.port}/`, { timeoutMs: 20_000 });
  assert.equal(result.kind, 'unreachable');
});

test('times out when the request is taken but never answered, and cuts the connection', async () => {
  await using tcp = await startTcp(() => {});
  await using client = startClient();
  assert.deepEqual(await client.post(`http://127.0.0.1:${tcp.port}/`, { timeoutMs: 100 }), { kind: 'timeout' });
  await eventually(() => tcp.sockets.size === 0);
});

test('times out in the middle of the head', async () => {
  await using tcp = await startTcp((socket) => socket.write('HTTP/1.1 200 OK\r\nx-a: b\r\n'));
  await using client = startClient();
  assert.deepEqual(await client.post(`http://127.0.0.1:${tcp.port}/`, { timeoutMs: 100 }), { kind: 'timeout' });
});

test('times out in the middle of a trickling body, with the head', async () => {
  await using tcp = await startTcp((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 10);
    socket.on('close', () => clearInterval(timer));
  });
  await using client = startClient();
  const result = await client.post(`http://127.0.0.1:${tcp.port}/`, { timeoutMs: 100 });
  assert.equal(result.kind, 'timeout');
  assert(result.kind === 'timeout' && result.head?.status === 200);
});

test('answers with the status of a body that hangs when the body is not asked for', async () => {
  await using tcp = await startTcp((socket) => socket.write('HTTP/1.1 204 OK\r\n\r\n'));
  await using hanging = await startTcp((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx'));
  await using client = startClient();
  const call = { readBody: false, timeoutMs: 100 };
  assert.equal(answerOf(await client.post(`http://127.0.0.1:${tcp.port}/`, call)).status, 204);
  assert.equal(answerOf(await client.post(`http://127.0.0.1:${hanging.port}/`, call)).status, 200);
  await eventually(() => hanging.sockets.size === 0);
});

for (const readBody of [true, false]) {
  test(`cuts an endless body at its limit when readBody is ${readBody}`, async () => {
    await using destination = await startDestination((_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'.repeat(300)), 1);
      response.on('close', () => clearInterval(timer));
      return 'handled';
    });
    await using client = startClient();
    const result = await client.post(destination.url, { readBody });
    if (readBody) assert(result.kind === 'tooLarge' && result.head.status === 200);
    else assert.equal(answerOf(result).status, 200);
  });

  test(`reports a connection reset in the middle of the body when readBody is ${readBody}`, async () => {
    await using tcp = await startTcp((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf', () => socket.resetAndDestroy());
      });
    });
    await using client = startClient();
    const result = await client.post(`http://127.0.0.1:${tcp.port}/`, { readBody });
    if (readBody) assert(result.kind === 'unreachable' && result.head?.status === 200);
    else assert.equal(answerOf(result).status, 200);
  });
}

test('accepts a body of exactly the limit', async () => {
  await using destination = await startDestination(() => ({ body: 'x'.repeat(1_000) }));
  await using client = startClient();
  assert.equal(answerOf(await client.post(destination.url)).body.byteLength, 1_000);
});

test('reports unreachable with the cause when the connection is refused', async () => {
  const destination = await startDestination();
  await destination[Symbol.asyncDispose]();
  await using client = startClient();
  const result = await client.post(destination.url);
  assert(result.kind === 'unreachable');
  assert.equal((result.cause as NodeJS.ErrnoException).code, 'ECONNREFUSED');
});

test('reports unreachable for a host that does not exist', async () => {
  await using client = startClient({ connectTimeoutMs: 20_000 });
  assert.equal((await client.post('http://no-such-host.invalid/', { timeoutMs: 30_000 })).kind, 'unreachable');
});

test('reports unreachable when the peer speaks no TLS or no HTTP, or hangs up without an answer', async () => {
  await using destination = await startDestination();
  await using garbage = await startTcp((socket) => socket.end('220 smtp ready\r\n\r\n'));
  await using silent = await startTcp((socket) => socket.once('data', () => socket.destroy()));
  await using client = startClient();
  assert.equal((await client.post(`https://127.0.0.1:${destination.port}/`)).kind, 'unreachable');
  assert.equal((await client.post(`http://127.0.0.1:${garbage.port}/`)).kind, 'unreachable');
  assert.equal((await client.post(`http://127.0.0.1:${silent.port}/`)).kind, 'unreachable');
});

test('reports unreachable for a header that cannot be sent, and sends nothing', async () => {
  await using destination = await startDestination();
  await using client = startClient();
  assert.equal((await client.post(destination.url, { headers: ['x-a', 'one\r\nx-b: two'] })).kind, 'unreachable');
  assert.equal((await client.post(destination.url, { headers: ['x a', '1'] })).kind, 'unreachable');
  assert.equal(destination.requests.length, 0);
  answerOf(await client.post(destination.url));
});

test('is aborted by its signal, before and while it runs', async () => {
  await using destination = await startDestination(() => 'handled');
  await using client = startClient();
  assert.deepEqual(await client.post(destination.url, { signal: AbortSignal.abort() }), { kind: 'aborted' });
  assert.equal(destination.requests.length, 0);
  const controller = new AbortController();
  const result = client.post(destination.url, { signal: controller.signal });
  await eventually(() => destination.requests.length === 1);
  controller.abort();
  assert.deepEqual(await result, { kind: 'aborted' });
});

test('does not send a call that was aborted while it connected, and keeps the connection for the next', async () => {
  await using destination = await startDestination();
  await using client = startClient();
  const controller = new AbortController();
  const aborted = client.post(destination.url, { signal: controller.signal });
  controller.abort();
  assert.deepEqual(await aborted, { kind: 'aborted' });
  await eventually(() => destination.connections === 1);
  await holds(() => destination.requests.length === 0, 50);
  answerOf(await client.post(destination.url));
  assert.equal(destination.requests.length, 1);
  assert.equal(destination.connections, 1);
});

test('ends running, waiting and later calls as aborted when it is closed', async () => {
  await using destination = await startDestination(() => 'handled');
  const client = startClient({ connectionsPerOrigin: 1 });
  const results = [client.post(destination.url), client.post(destination.url)];
  await eventually(() => destination.requests.length === 1);
  await client.close();
  assert.deepEqual(await Promise.all(results), [{ kind: 'aborted' }, { kind: 'aborted' }]);
  assert.deepEqual(await client.post(destination.url), { kind: 'aborted' });
  assert.equal(destination.requests.length, 1);
});
