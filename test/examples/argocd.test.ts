import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parse, parseAllDocuments } from 'yaml';

import { parseDocuments, renderAll, toYaml } from '../../infra/index.ts';
import { root } from './kit.ts';

const folder = join(root, 'examples/gitops/argocd');
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const applications = ['definitions.yaml', 'chat.yaml'].map((name) => parse(read(name)));

test('rendered/ is what hydrogen render makes of documents/', () => {
  assert.deepEqual(readdirSync(join(folder, 'rendered')), readdirSync(join(folder, 'documents')));
  for (const name of readdirSync(join(folder, 'documents'))) {
    const rendered = toYaml(renderAll(parseDocuments(read(`documents/${name}`), name)));
    const command = `npx hydrogen render -f ${folder}/documents/${name} > ${folder}/rendered/${name}`;
    assert.equal(read(`rendered/${name}`), rendered, `stale; ${command}`);
  }
});

test('each application syncs a folder that exists, by server-side apply', () => {
  for (const { apiVersion, kind, spec } of applications) {
    assert.deepEqual([apiVersion, kind], ['argoproj.io/v1alpha1', 'Application']);
    assert.ok(existsSync(join(root, spec.source.path)), spec.source.path);
    assert.ok(spec.syncPolicy.syncOptions.includes('ServerSideApply=true'));
  }
});

test('the definitions come first and are never pruned', () => {
  const [{ spec }] = applications;
  assert.equal(spec.syncPolicy.automated.prune, false);
  const text = readFileSync(join(root, spec.source.path, spec.source.directory.include), 'utf8');
  const annotations = parseAllDocuments(text).map((document) => document.toJS().metadata.annotations);
  assert.equal(annotations.length, 3);
  for (const annotation of annotations) {
    assert.match(annotation['argocd.argoproj.io/sync-options'], /Prune=false/);
    assert.ok(Number(annotation['argocd.argoproj.io/sync-wave']) < 0);
  }
});

test('the app is synced into the namespace of its objects, and leaves the number of its pods to the autoscaler', () => {
  const [, { spec }] = applications;
  const objects = parseAllDocuments(read('rendered/chat.yaml')).map((document) => document.toJS());
  assert.deepEqual([...new Set(objects.map(({ metadata }) => metadata.namespace))], [spec.destination.namespace]);
  const [gateway] = objects.filter(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'chat-gateway');
  assert.equal(gateway.spec.replicas, undefined);
});
