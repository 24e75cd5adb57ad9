/** Argo CD applies the operator and, as custom resources, an app: examples/gitops/argocd/{operator,chat-resources}.yaml. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parseAllDocuments, stringify } from 'yaml';
import type { Any } from '../e2e/platform.ts';
import type { Application } from '../kit/argocd.ts';
import { gatewayDocument, groupDocument, processorDocument } from '../kit/documents.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { startNats } from '../kit/nats.ts';
import { freePorts } from '../kit/ports.ts';
import { argoStageOrSkip, useArgoStage } from './stage.ts';

const skip = await argoStageOrSkip();
const stage = useArgoStage(skip);

const folder = 'examples/gitops/argocd/documents';
const file = `${folder}/chat.yaml`;
const original = readFileSync(join(root, file), 'utf8');
const patiently = { timeoutMs: 300_000, everyMs: 250 };
const settled = 'Synced Healthy';
/** Long enough for several comparisons. */
const quietMs = 15_000;

let chat: Application;
let operator: Application;

/** The documents with a change of the one of this kind; `undefined` leaves it out. */
function changed(kind: string, change: (document: Any) => Any | undefined): string {
  const documents = parseAllDocuments(original).map((one) => one.toJS() as Any);
  const kept = documents.map((one) => (one.kind === kind ? change(one) : one)).filter((one) => one !== undefined);
  return kept.map((one) => stringify(one)).join('---\n');
}

const withSpec = (kind: string, fields: object): string =>
  changed(kind, (document) => ({ ...document, spec: { ...document.spec, ...fields } }));

test('an app synced before the definitions exist becomes Synced and Healthy, and so does the operator', {
  skip,
}, async () => {
  await stage.repository.tag('v0.1.0');
  chat = await stage.argo.add('chat-resources.yaml');
  await eventually(async () => /HydrogenGroup/.test(await chat.operation()), patiently);
  operator = await stage.argo.add('operator.yaml');
  await operator.until(settled);
  await chat.until(settled);
  assert.match(await chat.health('HydrogenGateway/chat'), /^Healthy: /);
});

test('neither defaults nor the operator nor an autoscaler bring anything out of sync', { skip }, async () => {
  const before = await Promise.all([chat, operator].map((app) => app.get()));
  const isQuiet = async (): Promise<boolean> =>
    (await chat.state()) === settled && (await operator.state()) === settled;
  await holds(isQuiet, quietMs);

  stage.metrics.use('200m');
  const replicas = async (): Promise<number> => (await stage.find('deployment/chat-gateway'))?.spec.replicas;
  await eventually(async () => (await replicas()) >= 3, patiently);
  stage.metrics.use('150m');
  await eventually(isQuiet, patiently);
  await holds(isQuiet, quietMs);
  assert.ok((await replicas()) >= 3);

  const after = await Promise.all([chat, operator].map((app) => app.get()));
  const syncs = (apps: Any[]): string[] => apps.map(({ status }) => status.operationState.startedAt);
  assert.deepEqual(syncs(after), syncs(before));
});

test('what the cluster refuses fails the sync with our message, and the commit that corrects it is synced', {
  skip,
}, async () => {
  const endpoints = [{ path: 'chat' }];
  await stage.repository.commit({ [file]: withSpec('HydrogenGateway', { endpoints }) });
  await eventually(async () => /spec\.endpoints\[0\]\.path/.test(await chat.operation()), patiently);
  assert.match(await chat.state(), /^OutOfSync/);

  const rules = [{ name: 'broken', pattern: '(', destination: { url: 'http://messages.chat:8080/' } }];
  await stage.repository.commit({ [file]: withSpec('HydrogenMessageProcessor', { routing: { rules } }) });
  await eventually(async () => /must be a regular expression in RE2 syntax/.test(await chat.operation()), patiently);

  await chat.until(settled, await stage.repository.commit({ [file]: original }));
});

test('what the operator cannot do is Degraded with its message, and Healthy again when it is corrected', {
  skip,
}, async () => {
  const httpRoute = { hostnames: ['chat.example.com'], parentRefs: [{ name: 'public' }] };
  const bad = await stage.repository.commit({ [file]: withSpec('HydrogenGateway', { httpRoute }) });
  await chat.until('Synced Degraded', bad);
  assert.match(await chat.health('HydrogenGateway/chat'), /^Degraded: .*HTTPRoute/);
  await chat.until(settled, await stage.repository.commit({ [file]: original }));
});

test('a paused gateway is Suspended', { skip }, async () => {
  await chat.until(
    'Synced Suspended',
    await stage.repository.commit({ [file]: withSpec('HydrogenGateway', { paused: true }) }),
  );
  await chat.until(settled, await stage.repository.commit({ [file]: original }));
});

test('an object waits for the sync wave before its own to be Healthy', { skip }, async () => {
  const [port = 0] = await freePorts(1);
  const naming = { name: 'late', namespace: 'chat', group: 'late' };
  const group = groupDocument({ nats: { servers: [`nats://127.0.0.1:${port}`] } }, naming);
  const annotations = { 'argocd.argoproj.io/sync-wave': '1' };
  const members = [gatewayDocument({}, naming), processorDocument({}, naming)].map((one) => ({
    ...one,
    metadata: { name: 'late', namespace: 'chat', annotations },
  }));
  const late = `${folder}/late.yaml`;
  const text = [group, ...members].map((one) => stringify(one)).join('---\n');
  const revision = await stage.repository.commit({ [late]: text });
  const reason = async (): Promise<string> =>
    (await stage.find('hgrp/late'))?.status?.conditions?.find(({ type }: Any) => type === 'Ready')?.reason;
  await eventually(async () => (await reason()) === 'BusUnreachable', patiently);
  const isWaiting = async (): Promise<boolean> =>
    /^Running: waiting .*HydrogenGroup\/late/.test(await chat.operation());
  await eventually(isWaiting, patiently);
  await holds(isWaiting, 3000);
  assert.equal(await stage.find('hgw/late'), undefined);

  await using _nats = await startNats({ port });
  await chat.until(settled, revision);
  assert.ok(await stage.find('hgw/late'));
  await chat.until(settled, await stage.repository.commit({ [late]: undefined }));
  assert.equal(await stage.find('hgrp/late'), undefined);
});

test('what is no longer in Git is pruned, finalizers and children included', { skip }, async () => {
  const text = changed('HydrogenMessageProcessor', () => undefined);
  const revision = await stage.repository.commit({ [file]: text });
  await eventually(async () => (await stage.find('hmp/chat')) === undefined, patiently);
  await eventually(async () => (await stage.find('deployment/chat-mproc')) === undefined, patiently);
  await chat.until('Synced Progressing', revision); // no pod of a gateway without a processor is ready
  await chat.until(settled, await stage.repository.commit({ [file]: original }));
});

test('deleting the app ends, with a group whose NATS the operator runs, and leaves the operator', {
  skip,
}, async () => {
  const managed = withSpec('HydrogenGroup', { nats: { managed: {} } });
  const text = managed.replaceAll('name: chat\n', 'name: own\n');
  await chat.until(settled, await stage.repository.commit({ [`${folder}/own.yaml`]: text }));
  await chat.remove();
  for (const kind of ['hydrogen', 'deployments', 'statefulsets']) {
    await eventually(async () => (await stage.find(kind)) === undefined, patiently);
  }
  assert.equal(await operator.state(), settled);
  await operator.remove();
  const { kubectl } = stage.platform.cluster;
  await kubectl(['-n', 'hydrogen-system', 'get', 'deployment/hydrogen-operator']);
  assert.equal(
    (await kubectl(['get', 'crd', '-l', 'app.kubernetes.io/name=hydrogen', '-o', 'name'])).trim().split('\n').length,
    3,
  );
});
