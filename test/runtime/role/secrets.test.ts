import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { HydrogenError } from '../../../runtime/errors.ts';
import { MountedSecrets } from '../../../runtime/role/secrets.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { routingTo, startProcessor } from '../processor/kit.ts';

const ref = { name: 'api', key: 'token' };
const headers = [
  { name: 'X-Tier', value: 'gold' },
  { name: 'Authorization', valueFrom: { secretKeyRef: ref } },
];

/** The secrets of a directory that holds this value under `api/token`. */
function mounted(value: string) {
  const dir = mkdtempSync(join(tmpdir(), 'hydrogen-secrets-'));
  mkdirSync(join(dir, ref.name));
  writeFileSync(join(dir, ref.name, ref.key), value);
  const secrets = new MountedSecrets(dir, () => {});
  return { secrets, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

test('reads a value without its trailing newline', () => {
  using kit = mounted('s3cret\n');
  assert.equal(kit.secrets.read(ref), 's3cret');
});

test('gives the same headers for as long as no value has changed', () => {
  using kit = mounted('Bearer é');
  const resolved = kit.secrets.headers(headers);
  assert.deepEqual(resolved, ['X-Tier', 'gold', 'Authorization', 'Bearer é']);
  assert.equal(kit.secrets.headers(headers), resolved);
});

test('names the secret, the key and the file that is missing', () => {
  const secrets = new MountedSecrets('/nonexistent', () => {});
  assert.throws(
    () => secrets.read(ref),
    (error) =>
      error instanceof HydrogenError &&
      error.code === 'HYD_SECRET_MISSING' &&
      error.message.endsWith('secret api, key token: there is no file /nonexistent/api/token'),
  );
});

for (const value of ['a\nb', 'a\u0000', 'pay 1 €', '秘密']) {
  test(`names the secret, the key and the header that cannot carry ${JSON.stringify(value)}`, () => {
    using kit = mounted(value);
    assert.throws(
      () => kit.secrets.headers(headers),
      (error) =>
        error instanceof HydrogenError &&
        error.code === 'HYD_SECRET_MISSING' &&
        /secret api, key token: header Authorization cannot carry it, since it holds/.test(error.message) &&
        !error.message.includes(value),
    );
  });
}

test('a delivery whose secret contains a character outside Latin-1 fails because of the secret, and posts nothing', async () => {
  await using destination = await startDestination();
  using kit = mounted('€');
  await using processor = await startProcessor(destination.url, {
    spec: { routing: routingTo(destination.url, { headers }) },
    resolveHeaders: (sources) => kit.secrets.headers(sources),
  });
  await processor.send(`0123456789ab-${'0'.repeat(32)}`, 'hello');
  const failure = await eventually(() => processor.recorded.retried[0] ?? false);
  assert.equal(failure.code, 'HYD_SECRET_MISSING');
  assert.match(failure.detail, /secret api, key token: header Authorization cannot carry it/);
  assert.equal(destination.requests.length, 0);
});
