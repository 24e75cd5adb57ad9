import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RulesEngine } from '../../../../crds/index.ts';
import { createRouter } from '../../../../runtime/processor/router.ts';
import type { EngineAnswer, Route, RouteSpec } from '../../../../runtime/route/route.ts';
import { deliveryOf, routerDeps, textPayload } from '../../route/kit.ts';

const rulesEngine: RulesEngine = {
  url: 'http://rules/',
  headers: [],
  timeoutSeconds: 2,
  allowedHosts: ['orders', '*.svc.cluster.local'],
  reply: true,
  destinationTimeoutSeconds: 7,
};

async function routeBy(answer: EngineAnswer): Promise<Route<RouteSpec>> {
  return createRouter({ rulesEngine }, routerDeps(answer)).route(deliveryOf(textPayload('hello')));
}

function answerOf(body: unknown, status = 200): EngineAnswer {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return { kind: 'answer', status, body: bytes };
}

test('sends the message where the engine says, with its headers', async () => {
  const route = await routeBy(answerOf({ endpoint: 'http://orders:81/a?b', headers: { 'X-Tenant': 't1' } }));
  assert.deepEqual(route, {
    kind: 'destination',
    rule: 'rulesEngine',
    destination: {
      url: 'http://orders:81/a?b',
      headers: [{ name: 'X-Tenant', value: 't1' }],
      timeoutMs: 7_000,
      reply: true,
    },
  });
});

test('takes an answer without headers and ignores other fields', async () => {
  const route = await routeBy(answerOf({ endpoint: 'http://a.svc.cluster.local/', more: [1] }));
  assert(route.kind === 'destination');
  assert.deepEqual(route.destination.headers, []);
});

test('asks with the time limit and headers of the engine', async () => {
  const asked: RouteSpec[] = [];
  const deps = routerDeps(answerOf({ endpoint: 'http://orders/' }));
  const ask: typeof deps.ask = (engine, delivery, maxAnswerBytes) => {
    asked.push(engine);
    return deps.ask(engine, delivery, maxAnswerBytes);
  };
  const headers = [{ name: 'X-Key', value: 'k' }];
  await createRouter({ rulesEngine: { ...rulesEngine, headers } }, { ...deps, ask }).route(deliveryOf('{}'));
  assert.deepEqual(asked, [{ url: 'http://rules/', headers, timeoutMs: 2_000, reply: false }]);
});

for (const status of [201, 204, 301, 400, 403, 404, 500, 503]) {
  test(`does not consume the message after status ${status}`, async () => {
    const route = await routeBy(answerOf({ endpoint: 'http://orders/' }, status));
    assert(route.kind === 'failed');
    assert.equal(route.error, 'HYD_RULES_ENGINE_FAILED');
    assert.equal(route.status, status);
  });
}

test('passes Retry-After of the engine on', async () => {
  const route = await routeBy({ kind: 'answer', status: 503, body: new Uint8Array(), retryAfterMs: 9_000 });
  assert(route.kind === 'failed');
  assert.equal(route.retryAfterMs, 9_000);
});

test('passes failures on as they are', async () => {
  const failed = { kind: 'failed', error: 'HYD_ANSWER_TOO_LARGE', detail: 'x' } as const;
  assert.deepEqual(await routeBy(failed), failed);
  assert.deepEqual(await routeBy({ kind: 'abandoned' }), { kind: 'abandoned' });
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
    assert.equal(route.error, 'HYD_RULES_ENGINE_FAILED');
  });
}

for (const name of [
  'hydrogen-message-id',
  'Hydrogen-Anything',
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
    assert.equal(route.error, 'HYD_RULES_ENGINE_FAILED');
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
  test(`refuses ${url}, which allowedHosts does not admit`, async () => {
    const route = await routeBy(answerOf({ endpoint: url }));
    assert(route.kind === 'failed');
    assert.equal(route.error, 'HYD_HOST_FORBIDDEN');
  });
}
