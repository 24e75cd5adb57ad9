import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import type { Delivery } from '../../../../runtime/bus/port/messages.ts';
import { HydrogenError } from '../../../../runtime/errors.ts';
import { createHttpClient } from '../../../../runtime/http/client/client.ts';
import {
  type AttemptOutcome,
  type DestinationSpec,
  deliver,
  maxReplyBytes,
  prepareDestination,
} from '../../../../runtime/http/services/destination.ts';
import { type DestinationHandler, startDestination } from '../../../kit/destination.ts';

const payload = Buffer.from('{"message":"a secret of the client","message_encoding":"text"}');
const none: readonly string[] = [];
const outOfDescriptors = Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' });

function deliveryOf(fields: Partial<Delivery> = {}): Delivery {
  return {
    id: 'message-1',
    connectionId: 'connection-1',
    endpoint: '/chat',
    callbackUrl: 'http://gateway.test:8081',
    payload,
    attempt: 1,
    isShared: false,
    isReplay: false,
    storedAtMs: 0,
    room: undefined,
    dueAtMs: 0,
    cause: undefined,
    source: 'm1',
    isWithdrawn: false,
    shed: () => false,
    recall: async () => 'read',
    begin: () => true,
    rest: () => {},
    ack: () => {},
    nak: () => {},
    working: () => {},
    term: () => {},
    ...fields,
  };
}

async function deliverTo(handler: DestinationHandler, spec: Partial<DestinationSpec> = {}): Promise<AttemptOutcome> {
  await using server = await startDestination(handler);
  const http = createHttpClient();
  const destination = prepareDestination({
    url: server.url,
    headers: () => none,
    timeoutMs: 5_000,
    reply: false,
    ...spec,
  });
  const outcome = await deliver(http, destination, deliveryOf());
  await http.close();
  return outcome;
}

test('posts the payload byte for byte with the headers of the contract', async () => {
  await using server = await startDestination();
  const http = createHttpClient();
  const configured = ['Authorization', 'Bearer t', 'X-Tier', 'gold'];
  const destination = prepareDestination({
    url: server.url,
    headers: () => configured,
    timeoutMs: 5_000,
    reply: false,
  });
  await deliver(http, destination, deliveryOf({ attempt: 3 }));
  await http.close();
  const [request] = server.requests;
  assert(request !== undefined);
  assert.deepEqual(request.body, payload);
  const { traceparent, host, connection, ...headers } = request.headers;
  assert.deepEqual(headers, {
    'content-type': 'application/json',
    'content-length': String(payload.byteLength),
    'accept-encoding': 'identity',
    'user-agent': 'hydrogen',
    authorization: 'Bearer t',
    'x-tier': 'gold',
    'hydrogen-message-id': 'message-1',
    'hydrogen-attempt': '3',
    'hydrogen-callback': 'http://gateway.test:8081',
  });
  assert.match(String(traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test('omits hydrogen-callback when there is none, and lets user-agent be configured', async () => {
  await using server = await startDestination();
  const http = createHttpClient();
  const headers = ['User-Agent', 'mine'];
  const destination = prepareDestination({ url: server.url, headers: () => headers, timeoutMs: 5_000, reply: false });
  await deliver(http, destination, deliveryOf({ callbackUrl: '' }));
  await http.close();
  assert.equal(server.requests[0]?.headers['hydrogen-callback'], undefined);
  assert.equal(server.requests[0]?.headers['user-agent'], 'mine');
});

test('keeps one trace id over all attempts of a message, with a fresh parent id each', async () => {
  await using server = await startDestination();
  const http = createHttpClient();
  const spec: DestinationSpec = { url: server.url, headers: () => none, timeoutMs: 5_000, reply: false };
  const destination = prepareDestination(spec);
  await deliver(http, destination, deliveryOf());
  await deliver(http, destination, deliveryOf({ attempt: 2 }));
  await deliver(http, prepareDestination(spec), deliveryOf({ id: 'message-2' }));
  await http.close();
  const parts = server.requests.map(({ headers }) => String(headers.traceparent).split('-'));
  // The first 16 bytes of the SHA-256 of "message-1", by `printf message-1 | sha256sum`.
  assert.equal(parts[0]?.[1], '9deb880b43bdf6f465a0afb130aed71b');
  assert.equal(parts[1]?.[1], parts[0]?.[1]);
  assert.notEqual(parts[2]?.[1], parts[0]?.[1]);
  assert.equal(new Set(parts.map(([, , parentId]) => parentId)).size, 3);
});

test('uses a changed header value from the next delivery on', async () => {
  await using server = await startDestination();
  const http = createHttpClient();
  let headers = ['x-key', 'old'];
  const destination = prepareDestination({ url: server.url, headers: () => headers, timeoutMs: 5_000, reply: false });
  await deliver(http, destination, deliveryOf());
  headers = ['x-key', 'new'];
  await deliver(http, destination, deliveryOf());
  await http.close();
  assert.deepEqual(
    server.requests.map((request) => request.headers['x-key']),
    ['old', 'new'],
  );
});

test('retries while a secret is missing, and sends nothing', async () => {
  const outcome = await deliverTo(() => assert.fail('nothing is sent'), {
    headers: () => {
      throw new HydrogenError('HYD_SECRET_MISSING', 'secret a, key b');
    },
  });
  assert(outcome.kind === 'failed' && outcome.code === 'HYD_SECRET_MISSING');
});

test('refuses a URL that cannot be a destination', () => {
  for (const url of ['ftp://a/', 'http://user:word@a/', 'nonsense']) {
    assert.throws(
      () => prepareDestination({ url, headers: () => none, timeoutMs: 1, reply: false }),
      (err) => err instanceof HydrogenError && err.code === 'HYD_CONFIG_INVALID',
    );
  }
});

for (const status of [200, 201, 202, 204, 205, 206, 226, 299]) {
  test(`counts ${status} as consumed`, async () => {
    assert.deepEqual(await deliverTo(() => ({ status })), { kind: 'consumed', status });
  });
}

for (const status of [400, 413, 415, 422]) {
  test(`rejects a message for good after ${status}`, async () => {
    const outcome = await deliverTo(() => ({ status, body: 'no' }));
    assert(outcome.kind === 'failed');
    assert.equal(outcome.code, 'HYD_DESTINATION_REJECTED');
    assert.equal(outcome.status, status);
  });
}

for (const status of [
  401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 414, 416, 417, 418, 421, 423, 424, 425, 426, 428, 429, 431,
  451, 499, 500, 501, 502, 503, 504, 599,
]) {
  test(`retries after ${status}`, async () => {
    const outcome = await deliverTo(() => ({ status }));
    assert(outcome.kind === 'failed');
    assert.equal(outcome.code, 'HYD_DESTINATION_FAILED');
    assert.equal(outcome.status, status);
    assert.equal(outcome.retryAfterMs, undefined);
  });
}

for (const status of [300, 301, 302, 303, 304, 307, 308]) {
  test(`counts ${status} as a failure that is retried and never followed`, async () => {
    await using other = await startDestination();
    const outcome = await deliverTo(() => ({ status, headers: { location: other.url } }));
    assert(outcome.kind === 'failed');
    assert.equal(outcome.code, 'HYD_DESTINATION_REDIRECTED');
    assert.equal(outcome.status, status);
    assert.equal(other.requests.length, 0);
  });
}

for (const status of [429, 503, 500, 404, 307]) {
  test(`honours Retry-After of ${status}, in seconds and as a date`, async () => {
    const seconds = await deliverTo(() => ({ status, headers: { 'retry-after': '7' } }));
    assert(seconds.kind === 'failed');
    assert.equal(seconds.retryAfterMs, 7_000);
    const at = new Date(Date.now() + 60_000).toUTCString();
    const date = await deliverTo(() => ({ status, headers: { 'retry-after': at } }));
    assert(date.kind === 'failed' && date.retryAfterMs !== undefined);
    assert(date.retryAfterMs > 50_000 && date.retryAfterMs <= 60_000, String(date.retryAfterMs));
  });
}

test('retries after a time-out and after a refused connection', async () => {
  const late = await deliverTo(() => 'handled', { timeoutMs: 50 });
  assert(late.kind === 'failed');
  assert.equal(late.code, 'HYD_DESTINATION_TIMEOUT');
  const gone = await startDestination();
  await gone[Symbol.asyncDispose]();
  const refused = await deliverTo(() => undefined, { url: gone.url });
  assert(refused.kind === 'failed');
  assert.equal(refused.code, 'HYD_DESTINATION_UNREACHABLE');
  assert.match(refused.detail, /ECONNREFUSED/);
});

for (const reply of [true, false]) {
  test(`counts a 2xx as consumed although its body hangs, breaks off or never ends, reply ${reply}`, async () => {
    const hanging: DestinationHandler = (_request, response) => {
      response.writeHead(200, { 'content-length': '9' }).write('half');
      return 'handled';
    };
    const broken: DestinationHandler = (_request, response) => {
      response.writeHead(200, { 'content-length': '9' }).write('half', () => response.socket?.resetAndDestroy());
      return 'handled';
    };
    const endless: DestinationHandler = (_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(Buffer.alloc(65_536)), 1);
      response.on('close', () => clearInterval(timer));
      return 'handled';
    };
    const lost = async (handler: DestinationHandler, timeoutMs: number) => {
      const outcome = await deliverTo(handler, { reply, timeoutMs });
      assert(outcome.kind === 'consumed');
      assert.equal(outcome.reply, undefined);
      return outcome.replyLost;
    };
    assert.equal(await lost(hanging, 100), reply ? 'timeout' : undefined);
    assert.equal(await lost(broken, 5_000), reply ? 'unreachable' : undefined);
    assert.equal(await lost(endless, 5_000), reply ? 'tooLarge' : undefined);
  });

  test(`classifies a failure by its status although its body breaks off, reply ${reply}`, async () => {
    const broken = (status: number): Promise<AttemptOutcome> =>
      deliverTo(
        (_request, response) => {
          const headers = { 'content-length': '9', 'retry-after': '7' };
          response.writeHead(status, headers).write('half', () => response.socket?.resetAndDestroy());
          return 'handled';
        },
        { reply },
      );
    const retried = await broken(503);
    assert(retried.kind === 'failed');
    assert.equal(retried.status, 503);
    assert.equal(retried.retryAfterMs, 7_000);
    const rejected = await broken(422);
    assert(rejected.kind === 'failed' && rejected.code === 'HYD_DESTINATION_REJECTED');
  });
}

async function replyTo(body: string | Uint8Array, contentType?: string) {
  const headers = contentType === undefined ? {} : { 'content-type': contentType };
  const outcome = await deliverTo(() => ({ body, headers }), { reply: true });
  assert(outcome.kind === 'consumed');
  return (
    outcome.reply && { data: Buffer.from(outcome.reply.data).toString('latin1'), isBinary: outcome.reply.isBinary }
  );
}

test('replies with a body as text when it is UTF-8, as binary when it is not or its type says so', async () => {
  assert.deepEqual(await replyTo('hello'), { data: 'hello', isBinary: false });
  assert.deepEqual(await replyTo('{}', 'application/json'), { data: '{}', isBinary: false });
  assert.deepEqual(await replyTo('abc', 'Application/Octet-Stream; x=y'), { data: 'abc', isBinary: true });
  assert.deepEqual(await replyTo(Buffer.from([0xff, 0xfe]), 'text/plain'), { data: '\u00ff\u00fe', isBinary: true });
  assert.equal(await replyTo(''), undefined);
});

test('sends no reply unless configured, and none for a failure', async () => {
  assert.deepEqual(await deliverTo(() => ({ body: 'hello' })), { kind: 'consumed', status: 200 });
  const failure = await deliverTo(() => ({ status: 500, body: 'hello' }), { reply: true });
  assert.equal('reply' in failure, false);
});

test('replies with a body at the limit, and drops the reply when it is larger', async () => {
  const fitting = await deliverTo(() => ({ body: Buffer.alloc(maxReplyBytes, 97) }), { reply: true });
  assert(fitting.kind === 'consumed');
  assert.equal(fitting.reply?.data.byteLength, maxReplyBytes);
  const larger = await deliverTo(() => ({ body: Buffer.alloc(maxReplyBytes + 1, 97) }), { reply: true });
  assert.deepEqual(larger, { kind: 'consumed', status: 200, replyLost: 'tooLarge' });
});

test('gives details without payload, query or header values', async () => {
  const outcome = await deliverTo(() => ({ status: 500, body: 'leak' }), { headers: () => ['x-key', 'leak'] });
  assert(outcome.kind === 'failed');
  assert.doesNotMatch(outcome.detail, /leak|secret/);
});

test('reports a delivery as abandoned when its client was closed', async () => {
  await using server = await startDestination(() => 'handled');
  const http = createHttpClient();
  const destination = prepareDestination({ url: server.url, headers: () => none, timeoutMs: 5_000, reply: false });
  const outcome = deliver(http, destination, deliveryOf());
  await http.close();
  assert.deepEqual(await outcome, { kind: 'abandoned' });
});

test('does not send a message whose id or callback URL no header can carry, and says that it is unreadable', async () => {
  await using server = await startDestination();
  const http = createHttpClient();
  const destination = prepareDestination({ url: server.url, headers: () => none, timeoutMs: 5_000, reply: false });
  for (const fields of [{ id: 'a\u0001b' }, { callbackUrl: 'http://a\u0000/' }]) {
    const outcome = await deliver(http, destination, deliveryOf(fields));
    assert.equal(outcome.kind === 'failed' && outcome.code, 'HYD_MESSAGE_UNREADABLE');
  }
  assert.equal(server.requests.length, 0);
  await http.close();
});

test('decodes a reply that was compressed without being asked', async () => {
  for (const [coding, encode] of [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const) {
    const headers = { 'content-encoding': coding };
    const outcome = await deliverTo(() => ({ headers, body: encode('grüß dich') }), { reply: true });
    assert.ok(outcome.kind === 'consumed' && outcome.reply !== undefined, coding);
    assert.deepEqual([Buffer.from(outcome.reply.data).toString(), outcome.reply.isBinary], ['grüß dich', false]);
  }
});

test('loses a reply that cannot be decoded or is too large then; the message stays consumed', async () => {
  const headers = { 'content-encoding': 'gzip' };
  const bomb = await deliverTo(() => ({ headers, body: gzipSync(Buffer.alloc(20_000_000)) }), { reply: true });
  assert.deepEqual([bomb.kind, bomb.kind === 'consumed' && bomb.replyLost], ['consumed', 'tooLarge']);
  const broken = await deliverTo(() => ({ headers, body: 'plain' }), { reply: true });
  assert.deepEqual([broken.kind, broken.kind === 'consumed' && broken.replyLost], ['consumed', 'unreachable']);
});

test('says in words that the other side closed the connection', async () => {
  const outcome = await deliverTo((_request, response) => {
    response.socket?.destroy();
    return 'handled';
  });
  assert.match(outcome.kind === 'failed' ? outcome.detail : '', /: other side closed$/);
});

test('does not blame the destination when this process has no file descriptors left', async () => {
  const fail = async () => ({ kind: 'unreachable', cause: outOfDescriptors }) as const;
  const http = { post: fail, get: fail, close: async () => {} };
  const destination = prepareDestination({
    url: 'http://a.test/',
    headers: () => none,
    timeoutMs: 5_000,
    reply: false,
  });
  const outcome = await deliver(http, destination, deliveryOf());
  assert.equal(outcome.kind === 'failed' && outcome.code, 'HYD_DESCRIPTORS_EXHAUSTED');
});
