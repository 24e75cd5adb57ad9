import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RulesEngine } from '../../../../crds/index.ts';
import type { CallResult, HttpAnswer, HttpRequest } from '../../../../runtime/http/client/call.ts';
import { createRouter, type Route } from '../../../../runtime/processor/router.ts';
import { deliveryOf, routerDeps, textPayload } from '../../route/kit.ts';

const rulesEngine: RulesEngine = {
  url: 'http://rules/',
  headers: [],
  timeoutSeconds: 2,
  allowedHosts: ['orders', '*.svc.cluster.local'],
  reply: true,
  destinationTimeoutSeconds: 7,
};

async function routeBy(result: CallResult): Promise<Route> {
  return createRouter({ rulesEngine }, routerDeps(result)).route(deliveryOf(textPayload('hello')));
}

function answerOf(body: unknown, status = 200, retryAfter?: string): HttpAnswer {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return { kind: 'answer', status, body: bytes, headers: (name) => (name === 'retry-after' ? retryAfter : undefined) };
}

test('sends the message where the engine says, with its headers', async () => {
  const route = await routeBy(answerOf({ endpoint: 'http://orders:81/a?b', headers: { 'X-Tenant': 't1' } }));
  assert(route.kind === 'destination');
  const { service, reply } = route.destination;
  assert.deepEqual(
    [route.rule, service.target, service.timeoutMs, reply],
    ['rulesEngine', { origin: 'http://orders:81', path: '/a?b' }, 7_000, true],
  );
  assert.deepEqual(service.headers('m-1', '', '').slice(-2), ['X-Tenant', 't1']);
});

test('accepts an answer without headers and ignores other fields', async () => {
  const route = await routeBy(answerOf({ endpoint: 'http://a.svc.cluster.local/', more: [1] }));
  assert(route.kind === 'destination');
  assert.deepEqual(route.destination.service.headers('m-1', '', '').slice(-2), ['user-agent', 'hydrogen']);
});

test('calls the engine with its own time limit and headers', async () => {
  const requests: HttpRequest[] = [];
  const deps = routerDeps(answerOf({ endpoint: 'http://orders/' }), requests);
  const headers = [{ name: 'X-Key', value: 'k' }];
  await createRouter({ rulesEngine: { ...rulesEngine, headers } }, deps).route(deliveryOf('{}'));
  const [request] = requests;
  assert(request !== undefined && Array.isArray(request.headers));
  assert.deepEqual([request.url, request.timeoutMs], [{ origin: 'http://rules', path: '/' }, 2_000]);
  assert.ok(request.headers.includes('X-Key'));
});

for (const status of [201, 204, 301, 400, 403, 404, 500, 503]) {
  test(`does not consume the message after status ${status}`, async () => {
    const route = await routeBy(answerOf({ endpoint: 'http://orders/' }, status));
    assert(route.kind === 'failed');
    assert.equal(route.code, 'HYD_RULES_ENGINE_FAILED');
    assert.equal(route.status, status);
  });
}

test('passes on Retry-After of the engine', async () => {
  const route = await routeBy(answerOf('', 503, '9'));
  assert(route.kind === 'failed');
  assert.equal(route.retryAfterMs, 9_000);
});

test('fails according to what happened to the call', async () => {
  const codeOf = async (result: CallResult): Promise<string | undefined> => {
    const route = await routeBy(result);
    return route.kind === 'failed' ? route.code : undefined;
  };
  assert.equal(await codeOf({ kind: 'tooLarge', head: answerOf('') }), 'HYD_ANSWER_TOO_LARGE');
  assert.equal(await codeOf({ kind: 'timeout' }), 'HYD_RULES_ENGINE_FAILED');
  assert.equal(await codeOf({ kind: 'unreachable', cause: new Error('refused') }), 'HYD_RULES_ENGINE_FAILED');
  assert.deepEqual(await routeBy({ kind: 'aborted' }), { kind: 'abandoned' });
});

const endpoint = 'http://orders/';
const unusable: Readonly<Record<string, unknown>> = {
  'no body': '',
  'no JSON': 'http://orders/',
  'broken JSON': '{"endpoint":',
  'no UTF-8': new Uint8Array([0x22, 0xff, 0x22]),
  null: null,
  'a list': [endpoint],
  'no endpoint': {},
  'a number for endpoint': { endpoint: 1 },
  'an empty endpoint': { endpoint: '' },
  'a huge endpoint': { endpoint: `${endpoint}${'a'.repeat(10_000)}` },
  'headers as a list': { endpoint, headers: [['a', 'b']] },
  'headers as null': { endpoint, headers: null },
  'a number as header value': { endpoint, headers: { 'x-a': 1 } },
  'a list as header value': { endpoint, headers: { 'x-a': ['b'] } },
  'a header value with a line break': { endpoint, headers: { 'x-a': 'b\r\nx-c: d' } },
  'a header value with NUL': { endpoint, headers: { 'x-a': 'b\u0000' } },
  'a header value beyond Latin-1': { endpoint, headers: { 'x-a': '☃' } },
  'a header name with a space': { endpoint, headers: { 'x a': 'b' } },
  'a header name with a line break': { endpoint, headers: { 'x-a: b\r\nx-c': 'd' } },
  'an empty header name': { endpoint, headers: { '': 'b' } },
  'too many headers': { endpoint, headers: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x-${i}`, ''])) },
};

for (const [what, body] of Object.entries(unusable)) {
  test(`refuses an answer that is ${what}`, async () => {
    const route = await routeBy(answerOf(body));
    assert(route.kind === 'failed', route.kind);
    assert.equal(route.code, 'HYD_RULES_ENGINE_FAILED');
  });
}

for (const name of [
  'hydrogen-message-id',
  'Hydrogen-Anything',
  'hydrogen_attempt',
  'Content_Length',
  'webhook-signature',
  'Host',
  'Connection',
  'Keep-Alive',
  'Transfer-Encoding',
  'TE',
  'Trailer',
  'Upgrade',
  'Expect',
  'Proxy-Authorization',
  'Proxy-Connection',
  'Content-Length',
  'Content-Type',
  'Content-Encoding',
  'traceparent',
]) {
  test(`refuses an answer that sets ${name}`, async () => {
    const route = await routeBy(answerOf({ endpoint, headers: { [name]: 'x' } }));
    assert(route.kind === 'failed');
    assert.equal(route.code, 'HYD_RULES_ENGINE_FAILED');
    assert.match(route.detail, new RegExp(name));
  });
}

for (const url of [
  'http://evil/',
  'file:///etc/passwd',
  'http://orders@evil/',
  'http://svc.cluster.local/',
  'orders',
]) {
  test(`refuses ${url}, which allowedHosts does not allow`, async () => {
    const route = await routeBy(answerOf({ endpoint: url }));
    assert(route.kind === 'failed');
    assert.equal(route.code, 'HYD_HOST_FORBIDDEN');
  });
}
