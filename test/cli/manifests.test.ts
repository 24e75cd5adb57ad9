import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parseAllDocuments } from 'yaml';

import { root } from '../kit/hydrogen.ts';

function hydrogen(args: readonly string[], input = ''): { readonly code: number | null; readonly text: string } {
  const command = spawnSync(process.execPath, [join(root, 'cli/hydrogen.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
    input,
  });
  return { code: command.status, text: command.status === 0 ? command.stdout : command.stderr };
}

function withoutComments(file: string): string {
  return readFileSync(join(root, file), 'utf8').replaceAll(/^#.*\n/gm, '');
}

test('manifests prints the contents of dist/install.yaml and dist/crds.yaml', () => {
  assert.deepEqual(hydrogen(['manifests']), { code: 0, text: withoutComments('dist/install.yaml') });
  assert.deepEqual(hydrogen(['manifests', '--crds-only']), { code: 0, text: withoutComments('dist/crds.yaml') });
});

test('manifests places and configures the operator as the user asks', () => {
  const images = ['--image', 'registry.example.com/hydrogen:1', '--nats-image', 'registry.example.com/nats:1'];
  const { text } = hydrogen(['manifests', '--namespace', 'ops', ...images]);
  const objects = parseAllDocuments(text).map((document) => document.toJS());
  const namespaces = objects.map(({ metadata }) => metadata.namespace).filter((name) => name !== undefined);
  assert.deepEqual([...new Set(namespaces)], ['ops']);
  const deployment = objects.find(({ kind }) => kind === 'Deployment');
  const [{ image, args }] = deployment.spec.template.spec.containers;
  assert.equal(image, 'registry.example.com/hydrogen:1');
  assert.deepEqual(args, ['operator', '--nats-image', 'registry.example.com/nats:1']);
});

test('render prints what the constructs produce from a file, and from standard input', () => {
  const file = 'test/infra/goldens/gateway-plain.in.yaml';
  const golden = readFileSync(join(root, 'test/infra/goldens/gateway-plain.out.yaml'), 'utf8');
  assert.deepEqual(hydrogen(['render', '-f', file]), { code: 0, text: golden });
  assert.deepEqual(hydrogen(['render', '-f', '-'], readFileSync(join(root, file), 'utf8')), { code: 0, text: golden });
});

test('render sets an image for documents that name none', () => {
  const { text } = hydrogen(['render', '-f', 'examples/echo.yaml', '--image', 'registry.example.com/hydrogen:1']);
  assert.equal(text.match(/image: registry\.example\.com\/hydrogen:1/g)?.length, 2);
});

test('render puts documents that name no namespace into the one that the user names', () => {
  const namespaces = (text: string): string[] => [
    ...new Set(parseAllDocuments(text).map((document) => document.toJS().metadata.namespace as string)),
  ];
  const args = ['render', '-f', 'examples/echo.yaml'];
  assert.deepEqual(namespaces(hydrogen(args).text), ['default']);
  assert.deepEqual(namespaces(hydrogen([...args, '-n', 'shop']).text), ['shop']);
  const named = readFileSync(join(root, 'examples/echo.yaml'), 'utf8').replaceAll(
    /metadata: *\{|metadata:\n/g,
    (text) => (text.endsWith('{') ? `${text}namespace: own, ` : `${text}  namespace: own\n`),
  );
  assert.deepEqual(namespaces(hydrogen(['render', '-f', '-', '-n', 'shop'], named).text), ['own']);
  const { code, text } = hydrogen([...args, '-n', 'No Name']);
  assert.equal(code, 2);
  assert.match(text, /must be a DNS label/i);
});

test('render sets the image of managed NATS', () => {
  const file = 'test/infra/goldens/group-managed-1.in.yaml';
  const { text } = hydrogen(['render', '-f', file, '--nats-image', 'registry.example.com/nats:1']);
  assert.match(text, /image: registry\.example\.com\/nats:1/);
  assert.doesNotMatch(text, /image: docker\.io/);
});

test('render refuses invalid documents with every problem on a line of its own, and exit code 2', () => {
  const input = readFileSync(join(root, 'examples/echo.yaml'), 'utf8').replace('- path: /echo', '- path: echo');
  const { code, text } = hydrogen(['render', '-f', '-'], input);
  assert.equal(code, 2);
  assert.match(text, /^stdin:\d+ HydrogenGateway\/echo: spec\.endpoints\[0\]\.path: must be a URL path/m);
  const missing = hydrogen(['render', '-f', 'nowhere.yaml']);
  assert.deepEqual([missing.code, /nowhere\.yaml: ENOENT/.test(missing.text)], [2, true]);
});

const volume = `apiVersion: v1
kind: Pod
metadata: {name: other} # as it was written
spec:
  volumes: [{name: a, secret: {secretName: a, defaultMode: 0644}}]
`;
const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n';

test('render passes objects of other APIs on as they were written, in front of what it renders', () => {
  const file = 'test/infra/goldens/gateway-plain.in.yaml';
  const [documents, golden] = [file, file.replace('.in.', '.out.')].map((path) =>
    readFileSync(join(root, path), 'utf8'),
  );
  const input = `--- # the shop\n${namespace}---\n${documents}---\n${volume}...\n---\n# nothing\n`;
  const { code, text } = hydrogen(['render', '-f', '-'], input);
  assert.deepEqual([code, text], [0, `# the shop\n${namespace}---\n${volume}---\n${golden}`]);
});

test('render passes a file without anything of hydrogen on', () => {
  assert.deepEqual(hydrogen(['render', '-f', '-'], namespace), { code: 0, text: namespace });
});

test('render takes neither a kind of hydrogen in another API for such an object, nor one that it does not know', () => {
  const input = readFileSync(join(root, 'examples/echo.yaml'), 'utf8')
    .replace('hydrogen.dev/v1alpha1', 'hydrogn.dev/v1alpha1')
    .replace('kind: HydrogenGateway', 'kind: HydrogenGatway');
  const { code, text } = hydrogen(['render', '-f', '-'], input);
  assert.equal(code, 2);
  assert.match(text, /apiVersion: must be hydrogen\.dev\/v1alpha1, is "hydrogn\.dev\/v1alpha1"/);
  assert.match(text, /kind: must be one of .*is "HydrogenGatway"/);
});

test('render refuses a list, and says what to do', () => {
  const { code, text } = hydrogen(['render', '-f', '-'], 'apiVersion: v1\nkind: List\nitems: []\n');
  assert.equal(code, 2);
  assert.match(text, /kind: must not be List; write each of its items as a document of its own/);
});
