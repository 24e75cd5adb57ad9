/** What a stranger learns from a refusal: the sentence of the error table, and nothing else. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import test from 'node:test';
import { type ErrorCode, type ErrorEntry, errors } from '../../../runtime/errors.ts';
import { refusal } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';

const call = (url: string, more: object = {}): object => ({ url, timeoutSeconds: 1, ...more });
const missing = { name: 'X-Key', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } };

/** What the log says about each refusal of this code. */
function detailsOf(gateway: TestGateway, code: ErrorCode): string[] {
  return gateway.lines
    .filter((line) => line.msg === 'upgrade refused' && line.code === code)
    .map(({ detail }) => `${detail}`);
}

async function counted(gateway: TestGateway, code: ErrorCode): Promise<boolean> {
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  return metrics.includes(`hydrogen_gateway_upgrades_refused_total{code="${code}"} 1\n`);
}

const causes: [title: string, spec: Record<string, unknown>, code: ErrorCode, inLog: RegExp][] = [
  [
    'an authorizer that refuses connections',
    { authorizer: { http: call('http://127.0.0.1:1/') } },
    'HYD_AUTHORIZER_UNAVAILABLE',
    /127\.0\.0\.1:1/,
  ],
  [
    'an authorizer whose host does not exist',
    { authorizer: { http: call('http://auth.invalid/') } },
    'HYD_AUTHORIZER_UNAVAILABLE',
    /auth\.invalid|in time/,
  ],
  [
    'a connect hook that refuses connections',
    { hooks: { connect: call('http://127.0.0.1:1/') } },
    'HYD_CONNECT_HOOK_REFUSED',
    /127\.0\.0\.1:1/,
  ],
  [
    'an authorizer whose secret is missing',
    { authorizer: { http: call('http://127.0.0.1:1/', { headers: [missing] }) } },
    'HYD_AUTHORIZER_UNAVAILABLE',
    /secret keys, key token/,
  ],
  [
    'a connect hook whose secret is missing',
    { hooks: { connect: call('http://127.0.0.1:1/', { headers: [missing] }) } },
    'HYD_CONNECT_HOOK_REFUSED',
    /secret keys, key token/,
  ],
];

for (const [title, spec, code, inLog] of causes) {
  test(`shows a client nothing of ${title}, and the log everything`, async () => {
    await using gateway = await startGateway({ spec });
    const { body } = await refusal(gateway.url('/chat'));
    assert.deepEqual(body, { code, message: errors[code].message });
    assert.match(detailsOf(gateway, code).join(), inLog);
  });
}

test('shows a client nothing of an authorizer that does not speak TLS, and the log what failed', async () => {
  await using auth = await startDestination();
  await using gateway = await startGateway({ spec: { authorizer: { http: call(`https://127.0.0.1:${auth.port}/`) } } });
  const { body } = await refusal(gateway.url('/chat'));
  assert.deepEqual(body.message, errors.HYD_AUTHORIZER_UNAVAILABLE.message);
  assert.match(
    detailsOf(gateway, 'HYD_AUTHORIZER_UNAVAILABLE').join(),
    /could not be reached at https:\/\/127\.0\.0\.1:\d+: \S+/,
  );
});

test('shows a client nothing of an answer that is not what an authorizer answers', async () => {
  await using auth = await startDestination(() => ({ body: '{"context": "admin at 10.0.0.7"}' }));
  await using gateway = await startGateway({ spec: { authorizer: { http: call(auth.url) } } });
  const { body } = await refusal(gateway.url('/chat'));
  assert.equal(body.message, errors.HYD_AUTHORIZER_INVALID.message);
});

const unparsed: [title: string, bytes: string, code: ErrorCode][] = [
  ['bytes that are not HTTP', '\x16\x03\x01\x02\x00garbage\r\n\r\n', 'HYD_BAD_REQUEST'],
  ['headers over 16 KiB', `GET /chat HTTP/1.1\r\nCookie: ${'x'.repeat(17_000)}\r\n\r\n`, 'HYD_HEADERS_TOO_LARGE'],
];

for (const [title, bytes, code] of unparsed) {
  test(`answers ${title} with an error of the table, and counts and logs it`, async () => {
    await using gateway = await startGateway();
    const socket = connectTcp(gateway.gateway.ports.client, '127.0.0.1');
    socket.write(bytes);
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    await once(socket, 'close');
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    const { http }: ErrorEntry = errors[code];
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${http} `));
    assert.deepEqual(JSON.parse(body), { code, message: errors[code].message });
    assert.equal(detailsOf(gateway, code).length, 1);
    await eventually(() => counted(gateway, code));
  });
}
