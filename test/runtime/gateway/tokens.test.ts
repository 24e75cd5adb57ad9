/** Clients that are admitted by a JSON Web Token, through real upgrades, with an issuer that is a real HTTP server. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { exportSPKI, generateKeyPair, importJWK, SignJWT, UnsecuredJWT } from 'jose';
import { type ConnectOptions, connect, refusal } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';
import { type Algorithm, audience, issuerUrl, startIssuer, type TestIssuer } from '../../kit/issuer.ts';

const bearer = (token: string): ConnectOptions => ({ headers: { authorization: `Bearer ${token}` } });
const jwt = (...providers: object[]) => ({ authorizer: { jwt: { providers } } });
const seconds = (): number => Math.floor(Date.now() / 1000);
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Status and code of the refusal, and the log line's detail. */
async function refused(gateway: TestGateway, options: ConnectOptions = {}): Promise<[number, string, string]> {
  gateway.lines.length = 0;
  const { status, body } = await refusal(gateway.url('/chat'), options);
  const line = gateway.lines.find(({ msg }) => msg === 'upgrade refused');
  return [status, body.code ?? '', String(line?.detail)];
}

for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA'] as Algorithm[]) {
  test(`admits a token signed with ${alg}, and carries its claims byte for byte`, async () => {
    await using issuer = await startIssuer();
    const claims = { context: ['email', '/realm_access/roles', 'absent'] };
    await using gateway = await startGateway({ spec: jwt(issuer.provider({ claims })) });
    const token = await issuer.sign(
      { email: 'a@b.test', realm_access: { roles: ['admin'] }, secret: 'not chosen' },
      { alg },
    );
    await using client = await connect(gateway.url('/chat'), bearer(token));
    client.send('hi');
    await eventually(() => gateway.messages.length === 1);
    const { user, context } = gateway.messages[0]?.body ?? {};
    assert.deepEqual(
      [user, context],
      ['alice', { authorizer: { email: 'a@b.test', realm_access: { roles: ['admin'] } } }],
    );
  });
}

/** Tokens that must be refused with 401, and what the log says. */
const bad: [title: string, make: (issuer: TestIssuer) => Promise<string> | string, detail: RegExp][] = [
  ['an expired token', (issuer) => issuer.sign({ exp: seconds() - 61 }), /has expired/],
  ['a token that is not valid yet', (issuer) => issuer.sign({ nbf: seconds() + 3600 }), /claim nbf is/],
  ['a token without an expiry', (issuer) => issuer.sign({ exp: undefined }), /claim exp is missing/],
  ['a token for another audience', (issuer) => issuer.sign({ aud: 'someone' }), /claim aud is/],
  ['a token without an audience', (issuer) => issuer.sign({ aud: undefined }), /claim aud is missing/],
  ['a token of another issuer', (issuer) => issuer.sign({ iss: 'https://other.test/' }), /of another issuer/],
  [
    'a token of an issuer that differs in a slash',
    (issuer) => issuer.sign({ iss: issuerUrl.slice(0, -1) }),
    /of another/,
  ],
  ['a token without an issuer', (issuer) => issuer.sign({ iss: undefined }), /of another issuer/],
  ['a token without a user', (issuer) => issuer.sign({ sub: undefined }), /claim for user is missing/],
  ['a user that is a number', (issuer) => issuer.sign({ sub: 7 }), /claim for user is missing or not/],
  ['a user of 129 bytes', (issuer) => issuer.sign({ sub: 'x'.repeat(129) }), /claim for user has 129 bytes/],
  ['an unknown key', (issuer) => issuer.sign({}, { kid: 'invented' }), /no such key/],
  ['the key of another algorithm', (issuer) => issuer.sign({}, { alg: 'PS256', kid: 'RS256-0' }), /no such key/],
  ['a key of the wrong type', (issuer) => issuer.sign({}, { alg: 'EdDSA', kid: 'ES256-0' }), /no such key/],
  ['an unsigned token', () => unsecured(), /algorithm of the token is not among/],
  ['an unsigned token with a signature', () => `${unsecured()}AAAA`, /algorithm of the token is not among/],
  ['a critical header', (issuer) => withCritical(issuer), /not a valid JWT|is not supported/],
  ['a signature of other bytes', async (issuer) => tampered(await issuer.sign()), /signature of the token is wrong/],
  ['changed claims', async (issuer) => forged(await issuer.sign()), /signature of the token is wrong/],
  ['garbage', () => 'garbage', /not a JWT/],
  ['three dots', () => '...', /not a JWT/],
  ['an encrypted token', () => 'a.b.c.d.e', /not a JWT/],
  ['claims that are an array', () => `${base64url({ alg: 'RS256' })}.${base64url([])}.AAAA`, /not a JWT/],
  [
    'claims that are not UTF-8',
    () => `${base64url({ alg: 'RS256' })}.${Buffer.from([0xff]).toString('base64url')}.AAAA`,
    /not a JWT/,
  ],
  ['a large token of garbage', () => `${'a'.repeat(7_000)}.${'b'.repeat(7_000)}`, /not a JWT/],
];

const unsecured = (): string =>
  new UnsecuredJWT({ sub: 'alice' })
    .setIssuer(issuerUrl)
    .setAudience(audience)
    .setExpirationTime(seconds() + 60)
    .encode();

const withCritical = (issuer: TestIssuer): Promise<string> =>
  issuer.sign({}, { header: { crit: ['urn:x'], 'urn:x': 1 } as object });

/** Another byte in the middle of the signature. */
function tampered(token: string): string {
  const at = token.length - 20;
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
}

function forged(token: string): string {
  const [header, payload = '', signature] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  return [header, base64url({ ...claims, sub: 'root' }), signature].join('.');
}

test('refuses with 401 whatever is wrong with a token, and the log says what', async (context) => {
  await using issuer = await startIssuer();
  await using gateway = await startGateway({ spec: jwt(issuer.provider()) });
  for (const [title, make, detail] of bad) {
    await context.test(title, async () => {
      const token = await make(issuer);
      const [status, code, said] = await refused(gateway, bearer(token));
      assert.deepEqual([status, code], [401, 'HYD_UNAUTHORIZED']);
      assert.match(said, detail);
      const parts = token.split('.').filter((part) => part.length > 8);
      assert.ok(!parts.some((part) => JSON.stringify(gateway.lines).includes(part)), 'the log has the token');
    });
  }
  await context.test('no token', async () => {
    assert.match((await refused(gateway)).join(), /^401,HYD_UNAUTHORIZED,.*there is no token/);
    const basic = { headers: { authorization: 'Basic dTpw' } };
    assert.match((await refused(gateway, basic)).join(), /^401,HYD_UNAUTHORIZED,.*there is no token/);
  });
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  assert.ok(metrics.includes('hydrogen_gateway_key_fetches_total{outcome="ok"} 1'));
  assert.match(metrics, new RegExp(`^hydrogen_gateway_tokens_total\\{outcome="refused"\\} ${bad.length + 2}$`, 'm'));
});

test('refuses an HMAC whose secret is the public key, in any encoding of it', async () => {
  await using issuer = await startIssuer();
  await using gateway = await startGateway({ spec: jwt(issuer.provider()) });
  const [jwk] = issuer.keySet().keys;
  const pem = await exportSPKI((await importJWK(jwk ?? { kty: 'RSA' }, 'RS256', { extractable: true })) as never);
  for (const secret of [pem, pem.trim(), JSON.stringify(jwk), jwk?.n ?? '']) {
    const token = await new SignJWT({ sub: 'root' })
      .setProtectedHeader({ alg: 'HS256', kid: 'RS256-0' })
      .setIssuer(issuerUrl)
      .setAudience(audience)
      .setExpirationTime('1h')
      .sign(Buffer.from(secret));
    const [status, , detail] = await refused(gateway, bearer(token));
    assert.deepEqual([status, /algorithm of the token is not among/.test(detail)], [401, true], detail);
  }
});

test('ignores keys and URLs of keys that a token brings along', async () => {
  await using issuer = await startIssuer();
  await using attacker = await startIssuer();
  await using gateway = await startGateway({ spec: jwt(issuer.provider()) });
  const [jwk] = attacker.keySet().keys;
  for (const header of [{ jwk }, { jku: attacker.server.url }, { x5u: attacker.server.url }, { x5c: ['AAAA'] }]) {
    const [status, , detail] = await refused(gateway, bearer(await attacker.sign({}, { header: header as object })));
    assert.deepEqual([status, /signature of the token is wrong/.test(detail)], [401, true], detail);
  }
  assert.equal(attacker.server.requests.length, 0);
});

test('a token within the clock skew is admitted, and its connection ends when the skew is over', async () => {
  await using issuer = await startIssuer();
  await using gateway = await startGateway({ spec: jwt(issuer.provider({ clockSkewSeconds: 4 })) });
  const token = await issuer.sign({ exp: seconds() - 1, nbf: seconds() + 2 });
  await using client = await connect(gateway.url('/chat'), bearer(token));
  const { code, reason } = await client.closed;
  assert.deepEqual([code, reason.split(':')[0]], [4001, 'HYD_CONNECTION_EXPIRED']);
});

test('a token that is valid for ever, as far as a number goes, breaks nothing', async () => {
  await using issuer = await startIssuer();
  await using gateway = await startGateway({ spec: jwt(issuer.provider()) });
  await using _client = await connect(gateway.url('/chat'), bearer(await issuer.sign({ exp: Number.MAX_VALUE })));
  const id = gateway.lines.find(({ msg }) => msg === 'connection opened')?.connectionId;
  assert.equal((await fetch(`${gateway.managementUrl}/connections/${id}`)).status, 200);
});

test('takes the token from a subprotocol, and negotiates the one beside it', async () => {
  await using issuer = await startIssuer();
  const provider = issuer.provider({ extractFrom: { subprotocols: [{ prefix: 'token.' }] } });
  await using gateway = await startGateway({ spec: { ...jwt(provider), subprotocols: ['chat.v1'] } });
  const offered = `token.${await issuer.sign()}`;
  await using client = await connect(gateway.url('/chat'), { subprotocols: [offered, 'chat.v1'] });
  assert.equal(client.socket.protocol, 'chat.v1');
  const [status, code] = await refused(gateway, { subprotocols: [offered] });
  assert.deepEqual([status, code], [400, 'HYD_SUBPROTOCOL_UNKNOWN']);
  gateway.reconfigure(jwt(provider));
  assert.deepEqual((await refused(gateway, { subprotocols: [offered] })).slice(0, 2), [400, 'HYD_SUBPROTOCOL_UNKNOWN']);
  await using other = await connect(gateway.url('/chat'), { subprotocols: [offered, 'any'] });
  assert.equal(other.socket.protocol, 'any');
});

test('takes the token from a query parameter and from a cookie, of allowed origins only', async () => {
  await using issuer = await startIssuer();
  const extractFrom = { params: ['access_token'], cookies: ['id'] };
  const spec = { ...jwt(issuer.provider({ extractFrom })), allowedOrigins: ['https://app.test'] };
  await using gateway = await startGateway({ spec });
  const token = await issuer.sign();
  await using _query = await connect(gateway.url(`/chat?access_token=${token}`));
  const cookie = `a=1; id=${token}`;
  await using _cookie = await connect(gateway.url('/chat'), { headers: { cookie, origin: 'https://app.test' } });
  const foreign = await refused(gateway, { headers: { cookie, origin: 'https://evil.test' } });
  assert.deepEqual(foreign.slice(0, 2), [403, 'HYD_ORIGIN_FORBIDDEN']);
});

test('the http authorizer gets the claims and never the token, and nor does anybody else', async () => {
  await using issuer = await startIssuer();
  await using auth = await startDestination(() => ({ body: '{}' }));
  await using hook = await startDestination();
  const extractFrom = {
    headers: [{ name: 'Authorization', valuePrefix: 'Bearer ' }],
    params: ['access_token'],
    cookies: ['id'],
    subprotocols: [{ prefix: 'token.' }],
  };
  const call = { url: hook.url };
  const authorizer = { jwt: { providers: [issuer.provider({ extractFrom })] }, http: { url: auth.url } };
  const spec = { authorizer, hooks: { connect: call, disconnect: call }, allowedOrigins: ['https://app.test'] };
  await using gateway = await startGateway({ spec });
  const token = await issuer.sign({ n: 0.1 });
  await using client = await connect(gateway.url(`/chat?access_token=${token}&room=1`), {
    headers: { authorization: `Bearer ${token}`, cookie: `id=${token}; theme=dark`, 'x-original-uri': `/?t=${token}` },
    subprotocols: ['chat', `token.${token}`],
  });
  client.send('hi');
  await eventually(() => gateway.messages.length === 1);
  client.socket.close();
  await eventually(() => hook.requests.length === 2);
  const [request] = auth.requests;
  const body = request?.json() ?? {};
  const { sub, n } = body.claims as { sub: string; n: number };
  assert.deepEqual([sub, n, body.user], ['alice', 0.1, 'alice']);
  assert.deepEqual([body.query, body.subprotocols], [[['room', '1']], ['chat']]);
  const headers = new Map(body.headers as [string, string][]);
  assert.equal(headers.get('cookie'), 'theme=dark');
  assert.equal(headers.get('Sec-WebSocket-Protocol'), 'chat');
  const id = gateway.messages[0]?.body.connection_id;
  const status = await (await fetch(`${gateway.managementUrl}/connections/${id}`)).text();
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  const everything = JSON.stringify([gateway.lines, gateway.messages, status, metrics, client.socket.protocol]);
  const posted = [...auth.requests, ...hook.requests].map((sent) => `${sent.path} ${sent.rawHeaders} ${sent.body}`);
  for (const part of token.split('.')) assert.ok(![everything, ...posted].join().includes(part), 'the token got out');
});

test('the http authorizer may shorten the expiry and replace the context, and do no more', async () => {
  await using issuer = await startIssuer();
  let answer: object = {};
  await using auth = await startDestination(() => ({ body: JSON.stringify(answer) }));
  const provider = issuer.provider({ claims: { context: ['email'] } });
  await using gateway = await startGateway({
    spec: { authorizer: { jwt: { providers: [provider] }, http: { url: auth.url } } },
  });
  const token = await issuer.sign({ email: 'a@b.test' });
  const described = async (): Promise<{ user: string; ends_at: string }> => {
    gateway.lines.length = 0;
    await using _client = await connect(gateway.url('/chat'), bearer(token));
    const id = gateway.lines.find(({ msg }) => msg === 'connection opened')?.connectionId;
    return (await (await fetch(`${gateway.managementUrl}/connections/${id}`)).json()) as {
      user: string;
      ends_at: string;
    };
  };
  const endsIn = ({ ends_at }: { ends_at: string }): number => Math.round((Date.parse(ends_at) - Date.now()) / 60_000);
  assert.equal(endsIn(await described()), 61);
  answer = { user: 'alice', expires_at: new Date(Date.now() + 20 * 60_000).toISOString() };
  assert.equal(endsIn(await described()), 20);
  answer = { expires_at: '2999-01-01T00:00:00Z' };
  assert.equal(endsIn(await described()), 61);
  answer = { user: 'bob' };
  assert.deepEqual((await refused(gateway, bearer(token))).slice(0, 2), [503, 'HYD_AUTHORIZER_INVALID']);
  for (const [said, context] of [
    [{}, { email: 'a@b.test' }],
    [{ context: { room: 1 } }, { room: 1 }],
  ] as const) {
    answer = said;
    gateway.messages.length = 0;
    await using client = await connect(gateway.url('/chat'), bearer(token));
    client.send('x');
    await eventually(() => gateway.messages.length === 1);
    assert.deepEqual(gateway.messages[0]?.body.context, { authorizer: context });
  }
  const asked = auth.requests.length;
  assert.equal((await refused(gateway, bearer('bad')))[0], 401);
  assert.equal(auth.requests.length, asked);
});

test('a claim names the channels, and is refused when it is no list of names', async () => {
  await using issuer = await startIssuer();
  const claims = { channels: '/app/rooms' };
  const limits = { maxChannelsPerConnection: 3 };
  await using gateway = await startGateway({ spec: { ...jwt(issuer.provider({ claims })), limits } });
  await using client = await connect(
    gateway.url('/chat'),
    bearer(await issuer.sign({ app: { rooms: ['a', 'b', 'a'] } })),
  );
  await using _other = await connect(gateway.url('/chat'), bearer(await issuer.sign({})));
  const send = (channel: string): Promise<Response> =>
    fetch(`${gateway.managementUrl}/channels/${channel}/_send`, { method: 'POST', body: channel });
  for (const channel of ['a', 'b'])
    assert.equal(Reflect.get((await (await send(channel)).json()) as object, 'sent'), 1);
  await eventually(() => client.texts.length === 2);
  assert.deepEqual(client.texts, ['a', 'b']);
  for (const rooms of ['a', [''], [1], { a: 1 }, [['a']]]) {
    const token = await issuer.sign({ app: { rooms } });
    assert.deepEqual(
      (await refused(gateway, bearer(token))).slice(0, 2),
      [401, 'HYD_UNAUTHORIZED'],
      JSON.stringify(rooms),
    );
  }
  const many = await issuer.sign({ app: { rooms: ['a', 'b', 'c', 'd'] } });
  assert.deepEqual((await refused(gateway, bearer(many))).slice(0, 2), [503, 'HYD_AUTHORIZER_INVALID']);
});

test('asks the provider whose token it is, also when both look at the same place', async () => {
  await using first = await startIssuer();
  await using second = await startIssuer();
  const other = { name: 'other', issuer: 'https://other.test/', audiences: ['b'], claims: { user: '/app/id' } };
  await using gateway = await startGateway({ spec: jwt(first.provider(), second.provider(other)) });
  const token = await second.sign({ iss: 'https://other.test/', aud: ['a', 'b'], app: { id: 'x' } });
  await using _client = await connect(gateway.url('/chat'), bearer(token));
  assert.deepEqual([first.server.requests.length, second.server.requests.length], [0, 1]);
  const { method, headers } = second.server.requests[0] ?? {};
  assert.deepEqual([method, headers?.['user-agent'], headers?.['content-length']], ['GET', 'hydrogen', undefined]);
});

for (const [title, answer, detail] of [
  ['answers 500', { status: 500 }, /answered 500/],
  ['redirects', { status: 302, headers: { location: 'http://127.0.0.1:1/' } }, /answered 302/],
  ['sends no key set', { body: '<html>' }, /no JSON Web Key Set/],
  ['sends too much', { body: ' '.repeat(262_145) }, /larger than 262144 bytes/],
] as const) {
  test(`refuses with 503 while there are no keys, since the issuer ${title}, and admits once it has them`, async (context) => {
    await using issuer = await startIssuer();
    await using server = await startDestination(() => answer);
    const remoteJWKS = { uri: server.url };
    await using gateway = await startGateway({ spec: jwt(issuer.provider({ remoteJWKS })) });
    const [status, code, said] = await refused(gateway, bearer(await issuer.sign()));
    assert.deepEqual([status, code], [503, 'HYD_AUTHORIZER_UNAVAILABLE']);
    assert.match(said, detail);
    assert.ok(
      gateway.lines.some(({ msg, provider }) => msg.startsWith('keys of a token issuer') && provider === 'main'),
    );
    server.handle(() => ({ body: JSON.stringify(issuer.keySet()) }));
    const now = performance.now.bind(performance);
    context.mock.method(performance, 'now', () => now() + 2_500);
    await using _client = await connect(gateway.url('/chat'), bearer(await issuer.sign()));
  });
}

test('a change of the configuration forgets no keys, and a token of a provider that was removed is refused', async () => {
  await using issuer = await startIssuer();
  await using gateway = await startGateway({ spec: jwt(issuer.provider()) });
  const token = await issuer.sign();
  await using _first = await connect(gateway.url('/chat'), bearer(token));
  gateway.reconfigure({ ...jwt(issuer.provider()), limits: { maxConnections: 7 } });
  await using _second = await connect(gateway.url('/chat'), bearer(token));
  assert.equal(issuer.server.requests.length, 1);
  gateway.reconfigure(jwt(issuer.provider({ audiences: ['other'] })));
  assert.equal((await refused(gateway, bearer(token)))[0], 401);
});

test('takes keys from the document and from a secret, and a rotated secret without a restart', async () => {
  await using issuer = await startIssuer();
  await using other = await startIssuer();
  const dir = await mkdtemp(join(tmpdir(), 'hydrogen-keys-'));
  const valueRef = { secretKeyRef: { name: 'issuer', key: 'jwks.json' } };
  const local = (localJWKS: object) => jwt(issuer.provider({ remoteJWKS: undefined, localJWKS }));
  await using gateway = await startGateway({
    spec: local({ type: 'Inline', inline: JSON.stringify(issuer.keySet()) }),
    secretsDir: dir,
  });
  await using _inline = await connect(gateway.url('/chat'), bearer(await issuer.sign()));
  gateway.reconfigure(local({ type: 'ValueRef', valueRef }));
  const [status, , detail] = await refused(gateway, bearer(await issuer.sign()));
  assert.deepEqual([status, /secret issuer, key jwks.json: there is no file/.test(detail)], [503, true], detail);
  await mkdir(join(dir, 'issuer'));
  await writeFile(join(dir, 'issuer', 'jwks.json'), JSON.stringify(issuer.keySet()));
  await using _mounted = await connect(gateway.url('/chat'), bearer(await issuer.sign()));
  await writeFile(join(dir, 'issuer', 'jwks.json'), JSON.stringify(other.keySet()));
  const rotated = bearer(await other.sign());
  const opens = async (): Promise<boolean> => {
    const client = await connect(gateway.url('/chat'), rotated).catch(() => undefined);
    await client?.[Symbol.asyncDispose]();
    return client !== undefined;
  };
  await eventually(opens, { timeoutMs: 15_000, everyMs: 200 });
  await rm(dir, { recursive: true });
});

test('several keys without an id are tried', async () => {
  await using issuer = await startIssuer();
  await using other = await startIssuer();
  const keys = [...other.keySet().keys, ...issuer.keySet().keys].map(({ kid: _, ...key }) => key);
  await using gateway = await startGateway({
    spec: jwt(
      issuer.provider({ remoteJWKS: undefined, localJWKS: { type: 'Inline', inline: JSON.stringify({ keys }) } }),
    ),
  });
  const token = await issuer.sign({}, { header: { kid: undefined as never } });
  await using _client = await connect(gateway.url('/chat'), bearer(token));
  assert.equal((await refused(gateway, bearer(tampered(token))))[0], 401);
});

test('a key that cannot be used is the fault of the issuer, not of the client', async () => {
  await using issuer = await startIssuer();
  const { privateKey } = await generateKeyPair('RS256');
  const inline = JSON.stringify({ keys: [{ kty: 'RSA', kid: 'RS256-0', n: 'AQAB', e: 'AQAB' }] });
  await using gateway = await startGateway({
    spec: jwt(issuer.provider({ remoteJWKS: undefined, localJWKS: { type: 'Inline', inline } })),
  });
  const token = await new SignJWT({ sub: 'a', iss: issuerUrl, aud: audience, exp: seconds() + 60 })
    .setProtectedHeader({ alg: 'RS256', kid: 'RS256-0' })
    .sign(privateKey);
  const [status, code] = await refused(gateway, bearer(token));
  assert.deepEqual([status, code], [503, 'HYD_AUTHORIZER_UNAVAILABLE']);
});

test('a context that is larger than limits.maxContextBytes refuses the client as that of an authorizer does', async () => {
  await using issuer = await startIssuer();
  const spec = { ...jwt(issuer.provider({ claims: { context: ['large'] } })), limits: { maxContextBytes: 1_000 } };
  await using gateway = await startGateway({ spec });
  const [status, code] = await refused(gateway, bearer(await issuer.sign({ large: 'x'.repeat(9_000) })));
  assert.deepEqual([status, code], [503, 'HYD_AUTHORIZER_INVALID']);
});
