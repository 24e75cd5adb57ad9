/** Every request of gateways and processors to services is signed, and the official library accepts it. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Webhook } from 'standardwebhooks';
import { env } from '../../crds/contract.ts';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGatewayProcess, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();

test('authorizer, hooks, rules engine and destinations can verify each request, whichever of two keys they know', {
  skip,
}, async () => {
  const keys = [randomBytes(32), randomBytes(24)].map((bytes) => `whsec_${bytes.toString('base64')}`);
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-signing-'));
  await mkdir(join(directory, 'signing'));
  for (const [i, key] of keys.entries()) await writeFile(join(directory, 'signing', `key${i}`), `${key}\n`);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true }));
  const nats = stack.use(await startNats());
  const destination = stack.use(await startDestination(() => ({ body: 'thanks' })));
  const service = stack.use(
    await startDestination(({ path }) => {
      if (path === '/engine') return { body: JSON.stringify({ endpoint: `${destination.url}chosen` }) };
      return { body: path === '/authorizer' ? '{"user":"alice"}' : '' };
    }),
  );
  const signing = { secretRefs: keys.map((_, i) => ({ name: 'signing', key: `key${i}` })) };
  const member = { group: { natsUrl: nats.url, spec: { signing } }, env: { [env.secretsDir]: directory } };
  const call = (path: string): object => ({ url: `${service.url}${path.slice(1)}` });
  const rulesEngine = { url: `${service.url}engine`, allowedHosts: ['127.0.0.1'], reply: true };
  stack.use(await startMprocProcess({ ...member, spec: { routing: { rulesEngine } } }));
  const spec = {
    endpoints: [{ path: '/chat' }],
    authorizer: { http: call('/authorizer') },
    hooks: { connect: call('/connect'), disconnect: call('/disconnect') },
  };
  const gateway = stack.use(await startGatewayProcess({ ...member, spec }));
  const client = await connect(gateway.url('/chat'));
  client.send('hi');
  assert.equal(await client.nextText(), 'thanks');
  client.socket.close();
  const requests = await eventually(() => {
    const all = [...service.requests, ...destination.requests];
    return all.some(({ path }) => path === '/disconnect') && all;
  });
  const paths = requests.map(({ path }) => path).sort();
  assert.deepEqual(paths, ['/authorizer', '/chosen', '/connect', '/disconnect', '/engine']);
  for (const { path, headers, body } of requests) {
    for (const key of keys) {
      const verified = new Webhook(key).verify(body, headers as Record<string, string>) as { endpoint: string };
      assert.equal(verified.endpoint, '/chat', path);
    }
    assert.match(String(headers['webhook-id']), /^[0-9a-f]{12}-[0-9a-f]{32}-(authorize|connect|disconnect|1)$/);
  }
  const chosen = requests.find(({ path }) => path === '/chosen');
  assert.equal(chosen?.headers['webhook-id'], chosen?.headers['hydrogen-message-id']);
});
