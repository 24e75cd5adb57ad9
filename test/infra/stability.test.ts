import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { Construct } from 'constructs';

import { bundles } from '../../infra/bundles.ts';
import { HydrogenGateway, HydrogenGroup, HydrogenMessageProcessor } from '../../infra/index.ts';
import { toYaml } from '../../infra/yaml.ts';
import { at, documents, find, renderYaml, synth } from './kit.ts';

const root = join(import.meta.dirname, '../..');
const rules = 'routing: {rules: [{name: all, pattern: ".*", destination: {url: "http://messages/"}}]}';

/** The same app, its constructs under ids and in scopes of the caller's choice. */
function app(chartId: string, prefix: string): string {
  const objects = synth((chart) => {
    const scope = prefix === '' ? chart : new Construct(chart, `${prefix}scope`);
    const group = new HydrogenGroup(scope, `${prefix}group`, {
      name: 'chat',
      namespace: 'shop',
      spec: { nats: { managed: { replicas: 3 } } },
    });
    new HydrogenGateway(scope, `${prefix}gateway`, { name: 'chat', group, spec: { endpoints: [{ path: '/chat' }] } });
    new HydrogenMessageProcessor(scope, `${prefix}processor`, {
      name: 'chat',
      group,
      spec: { routing: { rules: [{ name: 'all', pattern: '.*', destination: { url: 'http://messages/' } }] } },
    });
  }, chartId);
  return toYaml(objects);
}

test('gives the same bytes wherever a construct is in an app, and whatever its id', () => {
  const plain = app('chart', '');
  assert.match(plain, /kind: StatefulSet/);
  assert.equal(app('another-chart', 'renamed-'), plain);
});

test('selects pods by a single label, which never changes', () => {
  const objects = renderYaml(documents({ group: 'nats: {managed: {}}', gateway: 'replicas: 1', processor: rules }));
  const selectorOf = (kind: string, name: string): unknown =>
    at(find(objects, kind, name), 'spec.selector.matchLabels') ?? at(find(objects, kind, name), 'spec.selector');
  assert.deepEqual(selectorOf('Deployment', 'chat-gateway'), { 'hydrogen.dev/gateway': 'chat' });
  assert.deepEqual(selectorOf('Service', 'chat-gateway'), { 'hydrogen.dev/gateway': 'chat' });
  assert.deepEqual(selectorOf('Service', 'chat-management'), { 'hydrogen.dev/gateway': 'chat' });
  assert.deepEqual(selectorOf('Deployment', 'chat-mproc'), { 'hydrogen.dev/message-processor': 'chat' });
  assert.deepEqual(selectorOf('StatefulSet', 'chat-nats'), { 'hydrogen.dev/nats': 'chat' });
});

test('gives the same bytes whatever the environment sets for cdk8s', () => {
  const script = "import('./infra/bundles.ts').then(({ bundles }) => process.stdout.write(JSON.stringify(bundles())))";
  const output = execFileSync(process.execPath, ['-e', script], {
    cwd: root,
    encoding: 'utf8',
    env: {
      ...process.env,
      CDK8S_OUTDIR: '/nowhere',
      CDK8S_DISABLE_SORT: '1',
      CDK8S_RECORD_CONSTRUCT_METADATA: 'true',
      CDK8S_LEGACY_HASH: '1',
      TZ: 'Asia/Tokyo',
      LANG: 'de_DE.UTF-8',
    },
  });
  assert.deepEqual(JSON.parse(output), bundles());
});

function templateOf(kind: string, yaml: string): unknown {
  return at(find(renderYaml(yaml), 'Deployment', kind), 'spec.template');
}

const servers = 'nats: {servers: ["nats://nats:4222"]}';
const gatewayTemplate = (gateway: string, group = servers): unknown =>
  templateOf('chat-gateway', documents({ group, gateway }));

const liveChanges = [
  'hooks: {connect: {url: "http://presence/"}}',
  'limits: {maxMessageBytes: 1024}',
  'mode: ServerToClient',
  'replicas: 7',
  'autoscaling: {maxReplicas: 3}',
  'ingress: {hosts: [chat.example.com]}',
  'statsIntervalSeconds: 0',
  'service: {type: LoadBalancer}',
];

test('leaves the pods of a gateway alone when they can take over a change', () => {
  const before = gatewayTemplate('paused: false');
  for (const change of liveChanges) assert.deepEqual(gatewayTemplate(change), before, change);
});

test('leaves the pods of a gateway alone while its group scales its own NATS', () => {
  const managed = (replicas: number): unknown =>
    gatewayTemplate('paused: false', `nats: {managed: {replicas: ${replicas}}}`);
  assert.deepEqual(managed(3), managed(5));
});

test('restarts the pods of a gateway when the bus that it is connected to changes', () => {
  const before = gatewayTemplate('paused: false');
  for (const group of [
    'nats: {servers: ["nats://other:4222"]}',
    `${servers}\ninstanceLeaseSeconds: 60`,
    `${servers}\nstream: {maxAgeSeconds: 60}`,
    `${servers}\ndeadLetter: {maxBytes: 2Gi}`,
    'nats: {servers: ["nats://nats:4222"], tls: {}}',
    'nats: {managed: {}}',
  ]) {
    assert.notDeepEqual(gatewayTemplate('paused: false', group), before, group);
  }
});

test('leaves the pods of a processor alone when its rules change', () => {
  const template = (pattern: string): unknown =>
    templateOf('chat-mproc', documents({ processor: rules.replace('.*', pattern) }));
  assert.deepEqual(template('^!'), template('.*'));
});
