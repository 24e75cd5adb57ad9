/** The policies of examples/policies on a real API server: what each rule refuses, with its words, and what passes. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { parseAllDocuments } from 'yaml';

import { kinds } from '../../crds/kinds.ts';
import { child } from '../../crds/path.ts';
import { type Node, nodeOf } from '../../crds/schema.ts';
import { secretRefsIn } from '../../crds/secret-refs.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { gatewayDocument, groupDocument, processorDocument, type TestDocument } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { pathOf, startCluster } from './kit.ts';

const skip = await apiServerOrSkip();
const patiently = { timeoutMs: 30_000, everyMs: 100 };

let cluster: TestApiServer;
before(async () => {
  if (skip !== false) return;
  cluster = await startCluster();
  await apply('documents.yaml');
  await eventually(async () => (await refusal(gatewayDocument(image('evil/image:1')))) !== '', patiently);
});
after(() => cluster?.[Symbol.asyncDispose]());

async function apply(file: string): Promise<void> {
  const text = readFileSync(join(import.meta.dirname, '../../examples/policies', file), 'utf8');
  for (const object of parseAllDocuments(text).map((document) => document.toJS())) {
    const plural = object.kind === 'ValidatingAdmissionPolicy' ? 'policies' : 'policybindings';
    const path = `/apis/admissionregistration.k8s.io/v1/validatingadmission${plural}/${object.metadata.name}`;
    const { status, body } = await cluster.apply(path, object);
    assert.ok([200, 201].includes(status), JSON.stringify(body));
  }
}

/** What the API server says to a new object; empty: it would store it. */
async function refusal(document: TestDocument): Promise<string> {
  const { status, body } = await cluster.call('POST', `${pathOf(document.kind)}?dryRun=All`, document);
  return status === 201 ? '' : String(body.message);
}

const image = (name: string): Record<string, unknown> => ({ template: { image: name } });
const servers = ['nats://nats.messaging:4222'];
const host = 'chat.default.apps.example.com';
const ref = (name = 'other'): { name: string; key: string } => ({ name, key: 'token' });
const headers = (name?: string): unknown[] => [{ name: 'x-key', valueFrom: { secretKeyRef: ref(name) } }];
const call = (name?: string): Record<string, unknown> => ({ url: 'http://auth', headers: headers(name) });
const rule = (name?: string): Record<string, unknown> => ({ name: 'all', pattern: '.*', destination: call(name) });
const parent = (name: string, namespace?: string): Record<string, unknown> => ({
  name,
  ...(namespace !== undefined && { namespace }),
});
const route = (fields: object): Record<string, unknown> => ({
  httpRoute: { parentRefs: [parent('public', 'ingress')], hostnames: [host], ...fields },
});

/** Title, document, and a part of the message. */
const refused: readonly (readonly [string, TestDocument, RegExp])[] = [
  [
    'an image from elsewhere, for a gateway',
    gatewayDocument(image('evil/image:1')),
    /spec\.template\.image must begin with one of ghcr\.io.*; leave it out to get the image of the operator/,
  ],
  ['an image from elsewhere, for a processor', processorDocument(image('evil/image:1')), /spec\.template\.image/],
  [
    'an image whose name only begins like ours',
    gatewayDocument(image('ghcr.io/hydrogen-gateway/hydrogen-evil:1')),
    /spec\.template\.image/,
  ],
  [
    'a host of another namespace, in an ingress',
    gatewayDocument({ ingress: { hosts: [host, 'chat.shop.apps.example.com'] } }),
    /every host of spec\.ingress and spec\.httpRoute must end with \.default\.apps\.example\.com/,
  ],
  [
    'a host of another namespace, in a route',
    gatewayDocument(route({ hostnames: ['chat.shop.apps.example.com'] })),
    /every host .* must end with/,
  ],
  [
    'a route without hosts',
    gatewayDocument({ httpRoute: { parentRefs: [parent('public', 'ingress')] } }),
    /spec\.httpRoute needs hostnames; without them it takes every host of its parents/,
  ],
  [
    'a route to a Gateway that is not listed',
    gatewayDocument(route({ parentRefs: [parent('public', 'ingress'), parent('internal', 'ingress')] })),
    /spec\.httpRoute\.parentRefs must name one of ingress\/public/,
  ],
  [
    'a route to a Gateway of its own namespace',
    gatewayDocument(route({ parentRefs: [parent('public')] })),
    /spec\.httpRoute\.parentRefs must name one of/,
  ],
  [
    'a load balancer',
    gatewayDocument({ service: { type: 'LoadBalancer' } }),
    /spec\.service\.type must be ClusterIP; use spec\.ingress or spec\.httpRoute/,
  ],
  [
    'an annotation of an ingress',
    gatewayDocument({
      ingress: { hosts: [host], annotations: { 'nginx.ingress.kubernetes.io/server-snippet': 'return 200;' } },
    }),
    /annotations of spec\.ingress, spec\.service and spec\.template must be among nginx/,
  ],
  [
    'an annotation of a service',
    gatewayDocument({ service: { annotations: { 'external-dns.alpha.kubernetes.io/hostname': 'example.com' } } }),
    /annotations of spec\.ingress, spec\.service and spec\.template/,
  ],
  [
    'an annotation of pods',
    processorDocument({ template: { annotations: { 'sidecar.istio.io/inject': 'false' } } }),
    /annotations of spec\.ingress, spec\.service and spec\.template/,
  ],
  [
    'a label of pods',
    processorDocument({ template: { labels: { app: 'payments' } } }),
    /spec\.template\.labels must be among team, cost-centre/,
  ],
  [
    'an environment variable that runs code',
    gatewayDocument({ template: { env: [{ name: 'NODE_OPTIONS', value: '--import=data:text/javascript,0' }] } }),
    /spec\.template\.env must be among HYDROGEN_LOG_LEVEL, NODE_EXTRA_CA_CERTS, TZ/,
  ],
  [
    'a NATS server that is not listed',
    groupDocument({ nats: { servers: [...servers, 'nats://evil:4222'] } }),
    /spec\.nats\.servers must be among nats:\/\/nats\.messaging:4222, .*; or use spec\.nats\.managed/,
  ],
];

for (const [title, document, message] of refused) {
  test(`the sample policy refuses ${title}`, { skip }, async () => {
    const found = await refusal(document);
    assert.match(found, message);
    assert.match(found, /ValidatingAdmissionPolicy 'hydrogen-documents'/);
  });
}

/** A document for each field that names a secret, with the name of that secret. */
const group = (nats: object, more: object = {}): TestDocument => groupDocument({ nats: { servers, ...nats }, ...more });
const naming = (name?: string): readonly TestDocument[] => [
  group({ credentialsSecretRef: ref(name) }),
  group({ credentialsSecretRef: ref('hydrogen-operator'), gatewayCredentialsSecretRef: ref(name) }),
  group({ credentialsSecretRef: ref('hydrogen-operator'), processorCredentialsSecretRef: ref(name) }),
  group({ tokenSecretRef: ref(name) }),
  group({ tls: { caSecretRef: ref(name) } }),
  group({ tls: { certSecretRef: ref(name), keySecretRef: ref('hydrogen-tls') } }),
  group({ tls: { certSecretRef: ref('hydrogen-tls'), keySecretRef: ref(name) } }),
  group({}, { signing: { secretRefs: [ref('hydrogen-key'), ref(name)] } }),
  gatewayDocument({ management: { tokenSecretRef: ref(name) } }),
  gatewayDocument({ management: { tokens: [{ name: 'ci', secretRef: ref(name), scopes: ['Send'] }] } }),
  gatewayDocument({ template: { env: [{ name: 'TZ', valueFrom: { secretKeyRef: ref(name) } }] } }),
  gatewayDocument({ authorizer: { http: call(name) } }),
  gatewayDocument({ hooks: { connect: call(name) } }),
  gatewayDocument({ hooks: { disconnect: call(name) } }),
  gatewayDocument({
    authorizer: {
      jwt: {
        providers: [
          {
            name: 'main',
            issuer: 'https://a/',
            audiences: ['b'],
            localJWKS: { type: 'ValueRef', valueRef: { secretKeyRef: ref(name) } },
          },
        ],
      },
    },
  }),
  processorDocument({ template: { env: [{ name: 'TZ', valueFrom: { secretKeyRef: ref(name) } }] } }),
  processorDocument({ routing: { rules: [{ ...rule('hydrogen-first'), name: 'first' }, rule(name)] } }),
  processorDocument({ routing: { rulesEngine: { ...call(name), allowedHosts: ['messages'] } } }),
];

/** Paths of fields with a reference to a secret, as `spec.management.tokens[].secretRef`. */
function fieldsWithSecrets(node: Node, path = 'spec'): string[] {
  if (secretRefsIn({ [path.split('.').at(-1) ?? '']: {} }).length > 0) return [path];
  const inner = Object.entries(node.properties ?? {}).flatMap(([name, field]) =>
    fieldsWithSecrets(field, child(path, name)),
  );
  return [...inner, ...(node.items ? fieldsWithSecrets(node.items, `${path}[]`) : [])];
}

function pathsWith(value: unknown, name: string, path = 'spec'): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsWith(item, name, `${path}[]`));
  if (typeof value !== 'object' || value === null) return [];
  if ('key' in value && 'name' in value) return value.name === name ? [path] : [];
  return Object.entries(value).flatMap(([field, inner]) => pathsWith(inner, name, child(path, field)));
}

const fieldOf = (document: TestDocument): string => `${document.kind} ${pathsWith(document.spec, 'other').join()}`;

test('the documents of this test have every field that names a secret key', () => {
  const all = Object.entries(kinds).flatMap(([kind, { schema }]) =>
    fieldsWithSecrets(nodeOf(schema)).map((path) => `${kind} ${path.replace(/secretRefs$/, 'secretRefs[]')}`),
  );
  assert.ok(all.length >= 18, `${all.length} fields`);
  assert.deepEqual(naming('other').map(fieldOf).sort(), all.sort());
});

test('the sample policy refuses a secret of another name in every field that names one', { skip }, async () => {
  for (const document of naming('other')) {
    assert.match(await refusal(document), /names of secrets .* must begin with hydrogen-/, fieldOf(document));
  }
  const ingress = (tlsSecretName: string): TestDocument =>
    gatewayDocument({ ingress: { hosts: [host], tlsSecretName } });
  assert.match(await refusal(ingress('other')), /names of secrets that a document refers to/);
  assert.equal(await refusal(ingress('hydrogen-chat-tls')), '');
  for (const document of naming('hydrogen-own')) assert.equal(await refusal(document), '', document.kind);
});

test('the sample policy accepts documents without anything special, and with what it lists', { skip }, async () => {
  const template = {
    image: 'registry.example.com/hydrogen:0.1.0',
    labels: { team: 'chat' },
    annotations: { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false' },
    env: [{ name: 'HYDROGEN_LOG_LEVEL', value: 'debug' }],
  };
  for (const document of [
    groupDocument({ nats: { servers } }),
    groupDocument({ nats: { managed: {} } }),
    gatewayDocument(),
    gatewayDocument({ template, ingress: { hosts: [host, `*.${host}`] } }),
    gatewayDocument(route({})),
    processorDocument({ template }),
  ]) {
    assert.equal(await refusal(document), '', JSON.stringify(document.spec));
  }
});

test('an object that was there before the policy can be labelled and deleted, and not made worse', {
  skip,
}, async () => {
  const binding = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/hydrogen-documents';
  await cluster.call('DELETE', binding);
  const old = gatewayDocument({ ...image('evil/image:1') }, { name: 'old' });
  await eventually(async () => (await refusal(old)) === '', patiently);
  const finalizers = ['hydrogen.dev/test'];
  const held = { ...old, metadata: { ...old.metadata, finalizers } };
  assert.equal((await cluster.call('POST', pathOf(old.kind), held)).status, 201);
  await apply('documents.yaml');
  await eventually(async () => (await refusal(gatewayDocument(image('evil/image:1')))) !== '', patiently);

  const patch = (body: object): ReturnType<TestApiServer['call']> =>
    cluster.call('PATCH', pathOf(old.kind, 'old'), body, { 'content-type': 'application/merge-patch+json' });
  assert.equal((await patch({ metadata: { labels: { team: 'chat' } } })).status, 200);
  const worse = await patch({ spec: { statsIntervalSeconds: 60 } });
  assert.match(String(worse.body.message), /spec\.template\.image must begin with one of/);
  assert.equal((await cluster.call('DELETE', pathOf(old.kind, 'old'))).status, 200);
  assert.equal((await patch({ metadata: { finalizers: [] } })).status, 200);
  assert.equal((await cluster.call('GET', pathOf(old.kind, 'old'))).status, 404);
});
