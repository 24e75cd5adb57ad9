/** The one place in which documents become options of a bus. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { type HydrogenGroup, type HydrogenMessageProcessor, parse } from '../../../crds/index.ts';
import { consumerOptionsOf, natsOptionsOf } from '../../../runtime/bus/options.ts';
import { sources } from '../../house/sources.ts';

function document<T>(kind: string, spec: object): T {
  const result = parse({
    apiVersion: 'hydrogen.dev/v1alpha1',
    kind,
    metadata: { name: 'chat', namespace: 'shop' },
    spec,
  });
  assert.ok(result.ok);
  return result.resource as T;
}

test('the options of a group have the values of its document in the units of the code', async () => {
  const group = document<HydrogenGroup>('HydrogenGroup', {
    nats: {
      servers: ['tls://nats:4222'],
      tokenSecretRef: { name: 'login', key: 'token' },
      tls: { caSecretRef: { name: 'ca', key: 'ca.crt' } },
    },
    stream: { maxAgeSeconds: 60, maxBytes: '1Mi' },
    deadLetter: { maxAgeSeconds: 120, maxBytes: '2Mi' },
    instanceLeaseSeconds: 20,
  });
  const options = natsOptionsOf(group, 'operator', ({ name, key }) => `${name}/${key}`);
  assert.equal(options.group, 'shop_chat');
  assert.deepEqual(options.servers, ['tls://nats:4222']);
  assert.deepEqual(options.stream, { storage: 'File', replicas: 1, maxAgeMs: 60_000, maxBytes: 1024 ** 2 });
  assert.deepEqual(options.deadLetter, { maxAgeMs: 120_000, maxBytes: 2 * 1024 ** 2 });
  assert.equal(options.leaseMs, 20_000);
  assert.deepEqual(await options.authentication?.(), { token: 'login/token' });
  assert.deepEqual(await options.tls?.(), { ca: 'ca/ca.crt' });
});

test('the options of a consumer are those of its message processor', () => {
  const processor = document<HydrogenMessageProcessor>('HydrogenMessageProcessor', {
    groupRef: { name: 'chat' },
    endpoints: ['/a'],
    delivery: { ordering: 'PerConnection', partitions: 4, ackTimeoutSeconds: 45, takeoverSeconds: 7, maxInFlight: 7 },
    routing: { rules: [{ name: 'all', pattern: '.*', destination: { url: 'http://messages:8080/' } }] },
  });
  assert.deepEqual(consumerOptionsOf(processor), {
    processor: 'chat',
    endpoints: ['/a'],
    ackTimeoutMs: 45_000,
    takeoverMs: 7_000,
    maxInFlight: 7,
    ordering: 'PerConnection',
    partitions: 4,
  });
});

test('no other file converts the settings of a stream or consumer', () => {
  const converting = /maxAgeSeconds \* 1000|ackTimeoutSeconds \* 1000/;
  const files = sources().filter((file) => /^(cli|operator|runtime)\//.test(file));
  const found = files.filter((file) => converting.test(readFileSync(file, 'utf8')));
  assert.deepEqual(found, ['runtime/bus/options.ts']);
});
