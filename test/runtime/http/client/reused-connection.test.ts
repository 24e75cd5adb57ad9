import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { CallResult, HttpRequest } from '../../../../runtime/http/client/call.ts';
import { createHttpClient } from '../../../../runtime/http/client/client.ts';
import { startDestination, type TestDestination } from '../../../kit/destination.ts';

/** What a server does with a request that is not the first of its connection. */
type Treatment = (socket: Socket) => void;

/** Answers the first request of a connection, and treats later ones as told. @param treatNew for connections but the first */
async function startService(treat: Treatment, treatNew?: Treatment): Promise<TestDestination> {
  const seen = new Set<Socket>();
  return startDestination((_request, response) => {
    const socket = response.socket as Socket; // it is set until the response ends
    const treatment = seen.has(socket) ? treat : seen.size > 0 ? treatNew : undefined;
    seen.add(socket);
    if (treatment === undefined) return { body: 'answer' };
    treatment(socket);
    return 'handled';
  });
}

/** One connection at a time, so that a second call reuses it. */
function startClient() {
  const client = createHttpClient({ connectionsPerOrigin: 1 });
  return {
    post: (url: string, call: Partial<HttpRequest> = {}): Promise<CallResult> =>
      client.post({
        url: new URL(url),
        headers: ['content-type', 'text/plain'],
        body: 'hello',
        timeoutMs: 5_000,
        maxAnswerBytes: 1_000,
        readBody: true,
        ...call,
      }),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

for (const [how, treat] of [
  ['closed', (socket: Socket) => void socket.destroy()],
  ['half-closed', (socket: Socket) => void socket.end()],
  ['reset', (socket: Socket) => void socket.resetAndDestroy()],
] as const) {
  test(`sends a request again on a new connection when its reused one is ${how}`, async () => {
    await using service = await startService(treat);
    await using client = startClient();
    assert.equal((await client.post(service.url)).kind, 'answer');
    const body = Buffer.from('the second');
    const answer = await client.post(service.url, { body });
    assert.ok(answer.kind === 'answer');
    assert.equal(Buffer.from(answer.body).toString(), 'answer');
    assert.deepEqual(
      service.requests.map((request) => request.body.toString()),
      ['hello', 'the second', 'the second'],
    );
    assert.equal(service.connections, 2);
    // Nobody waits on the new connection for a next request, so it is not kept.
    assert.equal(service.requests[2]?.headers.connection, 'close');
  });
}

test('loses no call to a service that closes each connection at its second request', async () => {
  await using service = await startService((socket) => void socket.destroy());
  const client = createHttpClient();
  const call = { headers: [], body: 'x', timeoutMs: 5_000, maxAnswerBytes: 100, readBody: false };
  for (let round = 0; round < 25; round++) {
    const url = new URL(service.url);
    const results = await Promise.all(Array.from({ length: 8 }, () => client.post({ url, ...call })));
    for (const { kind } of results) assert.equal(kind, 'answer');
  }
  await client.close();
});

test('does not send a request again that failed on a new connection', async () => {
  await using service = await startDestination((_request, response) => {
    response.socket?.destroy();
    return 'handled';
  });
  await using client = startClient();
  assert.equal((await client.post(service.url)).kind, 'unreachable');
  assert.equal(service.requests.length, 1);
});

test('sends a request twice at most', async () => {
  const close = (socket: Socket): void => void socket.destroy();
  await using service = await startService(close, close);
  await using client = startClient();
  await client.post(service.url);
  assert.equal((await client.post(service.url)).kind, 'unreachable');
  assert.equal(service.requests.length, 3);
});

for (const start of [
  'H',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\n\r\n',
  '220 smtp\r\n\r\n',
  '\0',
]) {
  test(`does not send a request again after the bytes ${JSON.stringify(start)}`, async () => {
    await using service = await startService((socket) => socket.write(start, () => socket.destroy()));
    await using client = startClient();
    await client.post(service.url);
    assert.equal((await client.post(service.url)).kind, 'unreachable');
    assert.equal(service.requests.length, 2);
  });
}

test('does not send a request again that timed out', async () => {
  await using service = await startService(() => {});
  await using client = startClient();
  await client.post(service.url);
  assert.deepEqual(await client.post(service.url, { timeoutMs: 100 }), { kind: 'timeout' });
  assert.equal(service.requests.length, 2);
});

test('gives the second request only the time that is left', async () => {
  await using service = await startService(
    (socket) => void setTimeout(() => socket.destroy(), 700),
    () => {},
  );
  await using client = startClient();
  await client.post(service.url);
  const startedAtMs = performance.now();
  assert.deepEqual(await client.post(service.url, { timeoutMs: 1_000 }), { kind: 'timeout' });
  assert.ok(performance.now() - startedAtMs < 1_600);
  assert.equal(service.requests.length, 3);
});
