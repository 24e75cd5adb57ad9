/** Who may call the management API: tokens and scopes, pages of browsers, foreign hosts, and what the log says of it. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { eventually } from '../../kit/eventually.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from '../../kit/gateway.ts';

const id = '0123456789ab-0123456789abcdef0123456789abcdef';

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly headers: Record<string, string | string[] | undefined>;
}

/** With `http`, because `fetch` does not send every header. */
function call(
  { gateway }: TestGateway,
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: gateway.ports.management, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      response.on('end', () => {
        const { code } = text.startsWith('{') ? JSON.parse(text) : { code: undefined };
        resolve({ status: response.statusCode ?? 0, code, headers: response.headers });
      });
    });
    sent.on('error', reject);
    sent.end(method === 'POST' ? 'x' : undefined);
  });
}

const codeOf = async (...args: Parameters<typeof call>): Promise<string | number> => {
  const { status, code } = await call(...args);
  return code ?? status;
};

/** A gateway with these secrets, each `name/key`. */
async function startWithTokens(secrets: Record<string, string>, options: TestGatewayOptions) {
  const secretsDir = await mkdtemp(join(tmpdir(), 'hydrogen-tokens-'));
  for (const [path, value] of Object.entries(secrets)) {
    await mkdir(join(secretsDir, path, '..'), { recursive: true });
    await writeFile(join(secretsDir, path), value);
  }
  const gateway = await startGateway({ secretsDir, ...options });
  return {
    ...gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await rm(secretsDir, { recursive: true });
    },
  };
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

test('a token is good for its scopes and nothing else, and the one of tokenSecretRef for everything', async () => {
  const token = (name: string, scopes: string[]): object => ({ name, secretRef: { name: 'api', key: name }, scopes });
  const management = {
    tokenSecretRef: { name: 'api', key: 'all' },
    tokens: [token('sender', ['Send']), token('reader', ['Read']), token('gone', ['Send', 'Read'])],
  };
  await using gateway = await startWithTokens(
    { 'api/all': 'A', 'api/sender': 'S', 'api/reader': 'R' },
    { spec: { management } },
  );
  const calls = [
    ['POST', `/connections/${id}/_send`, 'Send'],
    ['POST', '/connections/_broadcast', 'Send'],
    ['POST', '/channels/c/_send', 'Send'],
    ['POST', '/users/u/_send', 'Send'],
    ['POST', `/connections/${id}/_disconnect`, 'Disconnect'],
    ['POST', '/users/u/_disconnect', 'Disconnect'],
    ['PUT', `/channels/c/connections/${id}`, 'Membership'],
    ['DELETE', '/channels/c/users/u', 'Membership'],
    ['GET', `/connections/${id}`, 'Read'],
    ['GET', '/connections', 'Read'],
    ['GET', '/users/u', 'Read'],
  ] as const;
  for (const [method, path, scope] of calls) {
    assert.equal(await codeOf(gateway, method, path), 'HYD_TOKEN_INVALID', path);
    assert.equal(await codeOf(gateway, method, path, bearer('X')), 'HYD_TOKEN_INVALID', path);
    const isMissing = async (value: string): Promise<boolean> =>
      (await codeOf(gateway, method, path, bearer(value))) === 'HYD_SCOPE_MISSING';
    assert.deepEqual(
      [await isMissing('A'), await isMissing('S'), await isMissing('R')],
      [false, scope !== 'Send', scope !== 'Read'],
      path,
    );
  }
  assert.equal(await codeOf(gateway, 'GET', '/health'), 200);
});

test('tokens of which none can be read let nobody in', async () => {
  const management = { tokens: [{ name: 'a', secretRef: { name: 'x', key: 'y' }, scopes: ['Send'] }] };
  await using gateway = await startGateway({ spec: { management } });
  for (const headers of [{}, bearer(''), bearer('undefined')]) {
    assert.notEqual((await call(gateway, 'POST', '/connections/_broadcast', headers)).status, 202);
  }
});

test('the log says who disconnected whom, and once in a while that somebody was refused', async () => {
  const management = { tokens: [{ name: 'ops', secretRef: { name: 'api', key: 'ops' }, scopes: ['Disconnect'] }] };
  await using gateway = await startWithTokens({ 'api/ops': 'secret-value' }, { spec: { management } });
  await call(gateway, 'POST', `/connections/${id}/_disconnect`, bearer('secret-value'));
  const line = await eventually(() => gateway.lines.find(({ msg }) => msg === 'management API call') ?? false);
  const { action, target, token, status, remoteAddress } = line;
  assert.deepEqual(
    [action, target, token, status, remoteAddress],
    ['disconnect', `/connections/${id}/_disconnect`, 'ops', 410, '127.0.0.1'],
  );
  for (let i = 0; i < 50; i++) await call(gateway, 'POST', `/connections/${id}/_send`, bearer('wrong-value'));
  const refused = (): typeof gateway.lines => gateway.lines.filter(({ msg }) => msg === 'management API call refused');
  await eventually(() => refused().length > 0);
  assert.ok(refused().length < 25, `${refused().length} lines for 50 refusals`);
  assert.ok(!JSON.stringify(gateway.lines).includes('-value'));
});

test('what fails without a token, where none is needed, is no refusal', async () => {
  await using gateway = await startGateway();
  assert.equal((await call(gateway, 'POST', `/connections/${id}/_disconnect`)).status, 410);
  const line = await eventually(() => gateway.lines.find(({ msg }) => msg.startsWith('management API call')) ?? false);
  assert.deepEqual([line.msg, line.status, line.code], ['management API call', 410, 'HYD_CONNECTION_GONE']);
});

test('a browser may call for a page whose origin is named, and for no other', async () => {
  await using gateway = await startGateway({
    spec: { management: { allowedOrigins: ['https://admin.example.com', 'https://*.ops.example'] } },
  });
  const send = (headers: Record<string, string>): Promise<Answer> =>
    call(gateway, 'POST', '/connections/_broadcast', headers);
  const own = `127.0.0.1:${gateway.gateway.ports.management}`;
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `http://${own}`, host: own },
    { origin: 'https://admin.example.com.evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ]) {
    assert.equal((await send(headers)).code, 'HYD_ORIGIN_REFUSED', JSON.stringify(headers));
  }
  const named = await send({ origin: 'https://admin.example.com', 'sec-fetch-site': 'cross-site' });
  assert.deepEqual([named.status, named.headers['access-control-allow-origin']], [202, 'https://admin.example.com']);
  assert.equal((await send({ origin: 'https://a.ops.example' })).status, 202);
  const preflight = await call(gateway, 'OPTIONS', '/connections/_broadcast', { origin: 'https://admin.example.com' });
  assert.deepEqual(
    [preflight.status, preflight.headers['access-control-allow-headers']],
    [204, 'authorization, content-type, idempotency-key'],
  );
  for (const site of ['same-origin', 'none']) assert.equal((await send({ 'sec-fetch-site': site })).status, 202);
});

test('on loopback, a foreign host is refused unless it is the one of the callback URL', async () => {
  await using gateway = await startGateway();
  const broadcast = (host: string): Promise<string | number> =>
    codeOf(gateway, 'POST', '/connections/_broadcast', { host });
  for (const host of ['evil.example', 'evil.example:8081', '10.0.0.1', '127.0.0.1.evil.example', 'a b']) {
    assert.notEqual(await broadcast(host), 202, host);
  }
  for (const host of ['localhost', 'localhost:1', '127.0.0.1:8081', '[::1]:8081', 'x.localhost', 'callback.test']) {
    assert.equal(await broadcast(host), 202, host);
  }
});

test('a gateway without a token says so when it starts', async () => {
  await using gateway = await startGateway();
  assert.ok(gateway.lines.some(({ msg }) => msg.startsWith('management API needs no token')));
});
