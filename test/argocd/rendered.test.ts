/** Argo CD applies an app as the objects that `hydrogen render` prints, without an operator: examples/gitops/argocd/chat.yaml. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { parseDocuments, renderAll, toYaml } from '../../infra/index.ts';
import type { Application } from '../kit/argocd.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { argoStageOrSkip, useArgoStage } from './stage.ts';

const skip = await argoStageOrSkip();
const stage = useArgoStage(skip);

const folder = 'examples/gitops/argocd';
const file = `${folder}/rendered/chat.yaml`;
const documents = readFileSync(join(root, folder, 'documents/chat.yaml'), 'utf8');
const patiently = { timeoutMs: 300_000, everyMs: 250 };
const settled = 'Synced Healthy';
/** Long enough for several comparisons. */
const quietMs = 15_000;

let chat: Application;

/** What CI commits for these documents. */
const rendered = (text: string): string => toYaml(renderAll(parseDocuments(text, 'chat.yaml')));

const replicas = async (): Promise<number> => (await stage.find('deployment/chat-gateway'))?.spec.replicas;

test('a rendered app becomes Synced and Healthy, and nothing brings it out of sync, an autoscaler included', {
  skip,
}, async () => {
  chat = await stage.argo.add('chat.yaml');
  await chat.until(settled);
  const startedAt = async (): Promise<string> => (await chat.get()).status.operationState.startedAt;
  const before = await startedAt();
  const isQuiet = async (): Promise<boolean> => (await chat.state()) === settled;
  await holds(isQuiet, quietMs);

  stage.metrics.use('200m');
  await eventually(async () => (await replicas()) >= 3, patiently);
  stage.metrics.use('150m');
  await eventually(isQuiet, patiently);
  await holds(isQuiet, quietMs);
  assert.ok((await replicas()) >= 3);
  assert.equal(await startedAt(), before);
});

test('a change is rolled out, and leaves the number of pods to the autoscaler', { skip }, async () => {
  const pods = await replicas();
  const text = rendered(documents.replace('- path: /chat', '- path: /chat\n    - path: /news'));
  await chat.until(settled, await stage.repository.commit({ [file]: text }));
  assert.match((await stage.find('configmap/chat-gateway'))?.data['hydrogen.yaml'], /path: \/news/);
  assert.ok((await replicas()) >= pods);
});

test('a change by hand is undone', { skip }, async () => {
  const patch = ['patch', 'configmap/chat-gateway', '--type=merge', '-p', '{"data":{"hydrogen.yaml":"changed"}}'];
  await stage.platform.cluster.kubectl(['-n', 'chat', ...patch]);
  const text = async (): Promise<string> => (await stage.find('configmap/chat-gateway'))?.data['hydrogen.yaml'];
  await eventually(async () => (await text()) !== 'changed', patiently);
  await chat.until(settled);
});

test('objects of a document that is gone are pruned, and deleting the app deletes the others', { skip }, async () => {
  const without = documents.split('---\n').filter((one) => !one.includes('kind: HydrogenMessageProcessor'));
  await chat.until(settled, await stage.repository.commit({ [file]: rendered(without.join('---\n')) }));
  assert.equal(await stage.find('deployment/chat-mproc'), undefined);
  await chat.remove();
  const kinds = 'deployments,services,hpa,pdb,networkpolicies';
  await eventually(async () => (await stage.find(kinds)) === undefined, patiently);
});
