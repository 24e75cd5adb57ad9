/** examples/jwt: a gateway that knows its clients by their tokens, and no service at all. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, refusal } from '../kit/client.ts';
import { receives, root, startApp } from './kit.ts';

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hydrogen-jwt-example-'));
  after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function mint(folder: string, ...args: string[]): string {
  const env = { ...process.env, JWT_EXAMPLE_FOLDER: folder };
  return execFileSync(process.execPath, [join(root, 'examples/jwt/mint.mjs'), ...args], {
    env,
    encoding: 'utf8',
  }).trim();
}

test('the jwt example admits who has a token, and reaches it as its user and in its channels', async (t) => {
  const folder = newFolder();
  const token = mint(folder, 'alice', 'news,team-7');
  await using app = await startApp(t, 'jwt/app.yaml', undefined, { HYDROGEN_SECRETS_DIR: join(folder, 'secrets') });
  const url = `${app.clientUrl}/feed`;
  await using browser = await connect(url, { subprotocols: ['feed.v1', `token.${token}`] });
  await using curl = await connect(`${url}?token=${token}`);
  await using bob = await connect(url, { headers: { authorization: `Bearer ${mint(folder, 'bob', 'news')}` } });
  assert.equal(browser.socket.protocol, 'feed.v1');

  const send = async (path: string, body: string): Promise<unknown> =>
    (await fetch(`${app.managementUrl}${path}/_send`, { method: 'POST', body })).json();
  assert.deepEqual(await send('/users/alice', 'you'), { connections: 2, sent: 2, full: 0, unanswered: 0 });
  assert.deepEqual(await send('/channels/news', 'all'), { connections: 3, sent: 3, full: 0, unanswered: 0 });
  assert.deepEqual(await send('/channels/team-7', 'team'), { connections: 2, sent: 2, full: 0, unanswered: 0 });
  for (const client of [browser, curl]) {
    await receives(client, /^team$/);
    assert.deepEqual(client.texts, ['you', 'all', 'team']);
  }
  await receives(bob, /^all$/);
  assert.deepEqual(bob.texts, ['all']);
});

test('the jwt example refuses who has no token or one of another issuer, and ends with the token', async (t) => {
  const folder = newFolder();
  mint(folder, 'alice');
  await using app = await startApp(t, 'jwt/app.yaml', undefined, { HYDROGEN_SECRETS_DIR: join(folder, 'secrets') });
  const url = `${app.clientUrl}/feed`;
  assert.equal((await refusal(url)).status, 401);
  assert.equal((await refusal(`${url}?token=${mint(newFolder(), 'alice')}`)).status, 401);
  await using alice = await connect(`${url}?token=${mint(folder, 'alice', '', '2')}`);
  const { code, reason } = await alice.closed;
  assert.equal(code, 4001);
  assert.match(reason, /^HYD_CONNECTION_EXPIRED/);
  assert.equal((await refusal(`${url}?token=${'x'.repeat(300)}`)).status, 401);
});

test('the key of the jwt example is readable by its owner alone, and is kept', () => {
  const folder = newFolder();
  const kidOf = (token: string): string =>
    JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
  assert.equal(kidOf(mint(folder, 'alice')), kidOf(mint(folder, 'bob')));
  assert.equal(statSync(join(folder, 'keys/private.json')).mode & 0o777, 0o600);
});
