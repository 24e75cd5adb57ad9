import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parseAllDocuments } from 'yaml';

import { type HydrogenGateway, parseDocuments } from '../../crds/index.ts';
import { bundles } from '../../infra/bundles.ts';
import type { Manifest } from '../../infra/yaml.ts';
import { readDocuments } from '../../runtime/role/documents.ts';
import { at, documents, find, renderYaml } from './kit.ts';

const folder = join(import.meta.dirname, 'goldens');
const texts = [
  ...readdirSync(folder)
    .filter((file) => file.endsWith('.out.yaml'))
    .map((file) => readFileSync(join(folder, file), 'utf8')),
  ...Object.values(bundles()),
];
const objects = texts.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as Manifest | null));
const workloads = objects.filter((object) => object?.kind === 'Deployment' || object?.kind === 'StatefulSet');

interface PodSpec {
  readonly automountServiceAccountToken: boolean;
  readonly serviceAccountName?: string;
  readonly securityContext: object;
  readonly containers: readonly {
    readonly image: string;
    readonly resources: object;
    readonly securityContext: object;
  }[];
}

test('every pod satisfies the restricted profile, and has bounded memory and no unneeded token', () => {
  assert.ok(workloads.length > 12, `${workloads.length} workloads`);
  for (const workload of workloads) {
    const pod = at(workload, 'spec.template.spec') as PodSpec;
    assert.equal(at(pod, 'securityContext.runAsNonRoot'), true);
    assert.equal(at(pod, 'securityContext.seccompProfile.type'), 'RuntimeDefault');
    assert.equal(pod.automountServiceAccountToken, pod.serviceAccountName === 'hydrogen-operator');
    for (const container of pod.containers) {
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        privileged: false,
        readOnlyRootFilesystem: true,
      });
      assert.ok(at(container, 'resources.requests.cpu'), 'has a cpu request');
      assert.equal(at(container, 'resources.limits.cpu'), undefined, 'is never throttled');
    }
  }
});

test('every selector selects the pods of exactly its own workload', () => {
  for (const workload of workloads) {
    const selector = Object.entries(at(workload, 'spec.selector.matchLabels') as object);
    const labels = at(workload, 'spec.template.metadata.labels') as Record<string, string>;
    for (const [name, value] of selector) assert.equal(labels[name], value);
    assert.ok(!selector.some(([name]) => name.startsWith('app.kubernetes.io/')), 'no label that others may claim');
  }
});

test('a pod reads its document from its config map, without the fields that only shape the workload', () => {
  const gateway = 'replicas: 4\nlimits: {maxMessageBytes: 1000}\nallowedOrigins: ["https://a.example.com"]';
  const yaml = documents({ group: 'nats: {managed: {}}', gateway });
  const text = String(at(find(renderYaml(yaml), 'ConfigMap', 'chat-gateway'), 'data["hydrogen.yaml"]'));
  const [read] = readDocuments([{ text, source: 'config map' }]).gateways;
  const [, written] = parseDocuments(yaml, 'test') as [unknown, HydrogenGateway];
  assert.deepEqual({ ...read?.gateway.spec, replicas: 4 }, written.spec);
  assert.equal(read?.group.metadata.namespace, 'shop');
  assert.doesNotMatch(text, /replicas: 4|template/);
});

test('secrets of environment variables are not mounted, those of headers are not in the environment', () => {
  const header = '{name: Authorization, valueFrom: {secretKeyRef: {name: auth, key: token}}}';
  const gateway = `authorizer: {http: {url: "http://auth/", headers: [${header}]}}
template: {env: [{name: EXTRA, valueFrom: {secretKeyRef: {name: extra, key: value}}}]}`;
  const pod = at(find(renderYaml(documents({ gateway })), 'Deployment'), 'spec.template.spec');
  assert.doesNotMatch(JSON.stringify(at(pod, 'volumes')), /extra/);
  assert.doesNotMatch(JSON.stringify(at(pod, 'containers[0].env')), /auth/);
});

test('passes an affinity on unchanged, even fields that cdk8s does not know, and then spreads nothing itself', () => {
  const affinity = { podAntiAffinity: { fieldOfTomorrow: true }, typo: {} };
  const gateway = `template: {affinity: ${JSON.stringify(affinity)}}`;
  const pod = at(find(renderYaml(documents({ gateway })), 'Deployment'), 'spec.template.spec');
  assert.deepEqual(at(pod, 'affinity'), affinity);
  assert.equal(at(pod, 'topologySpreadConstraints'), undefined);
});

test("labels of hydrogen take precedence over a user's, and a user's environment over that of hydrogen", () => {
  const gateway = `template:
  labels: {hydrogen.dev/gateway: other, team: chat}
  env: [{name: HYDROGEN_CALLBACK_URL, value: "http://push.example.com"}]`;
  const template = at(find(renderYaml(documents({ gateway })), 'Deployment'), 'spec.template');
  assert.equal(at(template, 'metadata.labels["hydrogen.dev/gateway"]'), 'chat');
  assert.equal(at(template, 'metadata.labels.team'), 'chat');
  assert.deepEqual(at(template, 'spec.containers[0].env'), [
    { name: 'HYDROGEN_CALLBACK_URL', value: 'http://push.example.com' },
  ]);
});
