import assert from 'node:assert/strict';
import test from 'node:test';
import { Value } from 'typebox/value';
import { parse as parseYaml } from 'yaml';

import { type HydrogenGateway, type HydrogenGatewayInput, kinds, parse, type Resource } from '../../crds/index.ts';
import { invalidCases, validCases } from './cases.ts';

const minimal: HydrogenGatewayInput = {
  apiVersion: 'hydrogen.dev/v1alpha1',
  kind: 'HydrogenGateway',
  metadata: { name: 'chat' },
  spec: { groupRef: { name: 'chat' }, endpoints: [{ path: '/chat' }] },
};

function gatewayOf(document: unknown): HydrogenGateway {
  const result = parse(document);
  assert.ok(result.ok && result.resource.kind === 'HydrogenGateway', JSON.stringify(result));
  return result.resource;
}

function issuesOf(document: unknown): string[] {
  const result = parse(document);
  return result.ok ? [] : result.issues.map(({ path, message }) => `${path}: ${message}`).sort();
}

for (const { title, yaml } of validCases) {
  test(`accepts ${title}`, () => assert.deepEqual(issuesOf(parseYaml(yaml)), []));
}

for (const { title, yaml, issues } of invalidCases) {
  test(`refuses ${title}`, () => assert.deepEqual(issuesOf(parseYaml(yaml)), [...issues].sort()));
}

test('returns a value that TypeBox validates against the schema', () => {
  for (const { yaml } of validCases) {
    const result = parse(parseYaml(yaml));
    assert.ok(result.ok);
    assert.ok(Value.Check(kinds[result.resource.kind].schema, result.resource.spec), yaml);
  }
});

test('fills in every default, also inside absent objects', () => {
  assert.deepEqual(gatewayOf(minimal), {
    apiVersion: 'hydrogen.dev/v1alpha1',
    kind: 'HydrogenGateway',
    metadata: { name: 'chat', namespace: 'default' },
    spec: {
      paused: false,
      groupRef: { name: 'chat' },
      mode: 'Bidirectional',
      endpoints: [{ path: '/chat' }],
      hooks: {},
      heartbeat: { intervalSeconds: 30, timeoutSeconds: 75 },
      limits: {
        maxMessageBytes: 262144,
        maxConnections: 50000,
        maxPendingHandshakes: 10000,
        maxChannelsPerConnection: 128,
        maxConnectionsPerAddress: 0,
        handshakesPerSecondPerAddress: 0,
        maxBufferedBytes: 1048576,
        maxMemoryBytes: 0,
        messageTimeoutSeconds: 60,
        messagesPerSecond: 0,
        maxStoredPerConnection: 1024,
        maxContextBytes: 16384,
        maxConnectionAgeSeconds: 0,
      },
      expiry: { graceSeconds: 0 },
      management: { maxBodyBytes: 524288 },
      drain: { periodSeconds: 60 },
      statsIntervalSeconds: 30,
      replicas: 1,
      service: { type: 'ClusterIP' },
      template: { imagePullPolicy: 'IfNotPresent' },
    },
  });
});

test('returns its own result unchanged', () => {
  for (const { yaml } of validCases) {
    const first = parse(parseYaml(yaml));
    assert.ok(first.ok);
    assert.deepEqual(parse(first.resource), first);
  }
});

test('keeps other metadata of objects from a cluster and ignores their status', () => {
  const metadata = {
    name: 'chat',
    namespace: 'prod',
    uid: 'u',
    generation: 3,
    managedFields: [{ manager: 'kubectl' }],
  };
  const gateway: Resource = gatewayOf({ ...minimal, metadata, status: { anything: 1 } });
  assert.deepEqual(gateway.metadata, metadata);
  assert.equal('status' in gateway, false);
});

test('copies its input and freezes what it returns', () => {
  const endpoints = [{ path: '/chat' }];
  const gateway = gatewayOf({ ...minimal, spec: { ...minimal.spec, endpoints } });
  endpoints.push({ path: '/other' });
  assert.equal(gateway.spec.endpoints.length, 1);
  assert.throws(() => Object.assign(gateway.spec.limits, { maxConnections: 1 }), TypeError);
  assert.throws(() => Object.assign(gateway.spec.endpoints[0] ?? {}, { path: '/b' }), TypeError);
});

test('does not share a default between two results', () => {
  const headersOf = (): readonly unknown[] | undefined =>
    gatewayOf({ ...minimal, spec: { ...minimal.spec, authorizer: { http: { url: 'http://a' } } } }).spec.authorizer
      ?.http?.headers;
  assert.deepEqual(headersOf(), []);
  assert.notEqual(headersOf(), headersOf());
});

test('treats undefined as absent', () => {
  assert.deepEqual(gatewayOf({ ...minimal, spec: { ...minimal.spec, limits: undefined } }), gatewayOf(minimal));
});

test('refuses names that reach into prototypes', () => {
  for (const key of ['__proto__', 'constructor', 'prototype']) {
    const labels = JSON.parse(`{"${key}": {"isAdmin": true}}`) as unknown;
    assert.deepEqual(issuesOf({ ...minimal, metadata: { name: 'chat', labels } }), [
      `metadata.labels.${key}: is not allowed as a name`,
    ]);
  }
  assert.equal(Reflect.get({}, 'isAdmin'), undefined);
});

test('does not list fields of the prototype as known', () => {
  assert.match(issuesOf({ ...minimal, toString: 'x' }).join(), /^toString: unknown field/);
});

test('refuses anything that is not plain JSON, once', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const refused: readonly [unknown, string][] = [
    [new Date(), 'must be plain data: a string, number, boolean, list or object'],
    [() => 1, 'must be plain data: a string, number, boolean, list or object'],
    [1n, 'must be plain data: a string, number, boolean, list or object'],
    [Number.NaN, 'must be a finite number, is NaN'],
  ];
  for (const [groupRef, message] of refused) {
    assert.deepEqual(issuesOf({ ...minimal, spec: { ...minimal.spec, groupRef } }), [`spec.groupRef: ${message}`]);
  }
  const template = { affinity: cyclic };
  assert.deepEqual(issuesOf({ ...minimal, spec: { ...minimal.spec, template } }), [
    'spec.template.affinity.self: must not contain itself',
  ]);
});

test('refuses data that is nested too deeply', () => {
  const affinity = JSON.parse(`${'{"a":'.repeat(100)}1${'}'.repeat(100)}`) as unknown;
  assert.match(issuesOf({ ...minimal, spec: { ...minimal.spec, template: { affinity } } }).join(), /64 levels deep/);
});

test('does not throw for any value at all', () => {
  for (const value of [undefined, null, 0, '', [], {}, [[]], new Map(), Symbol('x'), { kind: {} }]) {
    assert.equal(parse(value).ok, false);
  }
});
