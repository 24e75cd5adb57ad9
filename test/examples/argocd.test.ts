import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parse, parseAllDocuments } from 'yaml';

import { HydrogenArgoHealth, parseDocuments, renderAll, toYaml } from '../../infra/index.ts';
import { synthesize } from '../../infra/render.ts';
import { root } from './kit.ts';

const folder = join(root, 'examples/gitops/argocd');
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const objectsIn = (text: string) => parseAllDocuments(text).map((document) => document.toJS());
const operator = parse(read('operator.yaml'));
const resources = parse(read('chat-resources.yaml'));
const rendered = parse(read('chat.yaml'));

/** `UPDATE_GOLDENS=1` rewrites it. */
const healthHeader = [
  'The health checks of custom resources, to be merged into the argocd-cm that is there. Written from infra/argo-health.ts:',
  '  kubectl apply --server-side --field-manager=hydrogen-health -f examples/gitops/argocd/health.yaml',
];

test('rendered/ is the output of hydrogen render for documents/', () => {
  assert.deepEqual(readdirSync(join(folder, 'rendered')), readdirSync(join(folder, 'documents')));
  for (const name of readdirSync(join(folder, 'documents'))) {
    const expected = toYaml(renderAll(parseDocuments(read(`documents/${name}`), name)));
    const command = `npx hydrogen-gateway-cli render -f ${folder}/documents/${name} > ${folder}/rendered/${name}`;
    assert.equal(read(`rendered/${name}`), expected, `stale; ${command}`);
  }
});

test('health.yaml is the output of the construct', () => {
  const objects = synthesize((chart) => new HydrogenArgoHealth(chart, 'health'));
  const expected = toYaml(objects, healthHeader);
  if (process.env.UPDATE_GOLDENS) writeFileSync(join(folder, 'health.yaml'), expected);
  assert.equal(read('health.yaml'), expected, 'stale; UPDATE_GOLDENS=1 node --test test/examples/argocd.test.ts');
  assert.deepEqual(objectsIn(expected), objects);
});

test('each application syncs a folder that exists, by server-side apply', () => {
  for (const { apiVersion, kind, spec } of [operator, resources, rendered]) {
    assert.deepEqual([apiVersion, kind], ['argoproj.io/v1alpha1', 'Application']);
    assert.ok(existsSync(join(root, spec.source.path)), spec.source.path);
    assert.ok(spec.syncPolicy.syncOptions.includes('ServerSideApply=true'));
  }
});

test('a retry of a failed sync takes the commit that corrects it', () => {
  for (const { spec } of [resources, rendered]) assert.equal(spec.syncPolicy.retry.refresh, true);
});

test('the definitions are synced before the operator, and neither a sync nor deleting the application removes them', () => {
  const { source } = operator.spec;
  const { resources: files } = parse(readFileSync(join(root, source.path, 'kustomization.yaml'), 'utf8'));
  assert.deepEqual(files, ['install.yaml']);
  const objects = objectsIn(readFileSync(join(root, source.path, 'install.yaml'), 'utf8'));
  const isDefinition = ({ kind }: { kind: string }): boolean => kind === 'CustomResourceDefinition';
  const definitions = objects.filter(isDefinition);
  assert.equal(definitions.length, 3);
  for (const { metadata } of definitions) {
    const options = metadata.annotations['argocd.argoproj.io/sync-options'].split(',');
    assert.deepEqual(options, ['ServerSideApply=true', 'Prune=false', 'Delete=false']);
    assert.ok(Number(metadata.annotations['argocd.argoproj.io/sync-wave']) < 0);
  }
  const others = objects.filter((object) => !isDefinition(object));
  assert.ok(others.some(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'hydrogen-operator'));
  for (const { metadata } of others) assert.equal(metadata.annotations, undefined, metadata.name);
  assert.equal(operator.metadata.finalizers, undefined);
});

test('the app for the operator syncs valid documents into their namespace, without replicas where an autoscaler sets them', () => {
  const { source, destination, syncPolicy } = resources.spec;
  assert.equal(join(root, source.path), join(folder, 'documents'));
  assert.ok(syncPolicy.syncOptions.includes('SkipDryRunOnMissingResource=true'));
  const text = read('documents/chat.yaml');
  assert.equal(parseDocuments(text, 'chat.yaml').length, 3);
  // With foreground deletion, managed NATS would go before the processors, whose removal needs it.
  assert.ok(syncPolicy.syncOptions.includes('PrunePropagationPolicy=background'));
  assert.deepEqual(resources.metadata.finalizers, ['resources-finalizer.argocd.argoproj.io/background']);
  for (const { metadata, spec } of objectsIn(text)) {
    assert.equal(metadata.namespace, destination.namespace);
    if (spec.autoscaling !== undefined) assert.equal(spec.replicas, undefined);
  }
});

test('the rendered app is synced into the namespace of its objects, and leaves replicas to the autoscaler', () => {
  const { destination } = rendered.spec;
  const objects = objectsIn(read('rendered/chat.yaml'));
  assert.deepEqual([...new Set(objects.map(({ metadata }) => metadata.namespace))], [destination.namespace]);
  const [gateway] = objects.filter(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'chat-gateway');
  assert.equal(gateway.spec.replicas, undefined);
});

test('the page links every file and no other', () => {
  const linked = [...read('README.md').matchAll(/\]\(((?!\.\.)[^)#]+)\)/g)].map((match) => match[1] ?? '');
  const files = ['documents', 'rendered'].flatMap((name) =>
    readdirSync(join(folder, name)).map((file) => `${name}/${file}`),
  );
  const all = [...readdirSync(folder).filter((name) => name.endsWith('.yaml')), ...files];
  assert.deepEqual([...new Set(linked)].sort(), all.sort());
});
