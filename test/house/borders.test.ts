import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { sources } from './sources.ts';

/** Which folders of ours each folder may import. `cli` is the composition root: it may import everything but tests. */
const mayImport: Record<string, readonly string[]> = {
  crds: ['crds'],
  infra: ['infra', 'crds'],
  operator: ['operator', 'crds', 'infra', 'runtime/bus'],
  runtime: ['runtime', 'crds'],
  cli: ['cli', 'crds', 'infra', 'operator', 'runtime'],
  bench: ['bench', 'crds', 'infra', 'runtime', 'test/kit'],
};

/** The only folder that may import each package. */
const doors: Record<string, string> = {
  ws: 'runtime/socket',
  nats: 'runtime/bus',
  undici: 'runtime/http',
  fastify: 'runtime/http',
  cdk8s: 'infra',
  'cdk8s-plus-28': 'infra',
  '@kubernetes/client-node': 'operator',
  re2js: 'runtime/route',
  commander: 'cli',
};

const rooms = ['runtime/socket', 'runtime/route', 'runtime/http', 'runtime/bus'];

interface Import {
  readonly file: string;
  readonly target: string;
}

const product = sources().filter((file) => !file.startsWith('test/') && !file.startsWith('examples/'));
const imports: Import[] = product.flatMap((file) => {
  const text = readFileSync(file, 'utf8');
  const targets = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
  return targets.map((target) => ({ file, target: target.startsWith('.') ? resolve(file, target) : target }));
});

function resolve(file: string, target: string): string {
  return new URL(target, `file:///${file}`).pathname.slice(1);
}

/** `cdk8s-plus-28` of `cdk8s-plus-28/lib/imports/k8s.js`. */
function packageOf(target: string): string {
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}

test('reads the imports of every source file', () => {
  assert.ok(imports.length > 200, `${imports.length} imports`);
  assert.ok(imports.some(({ file, target }) => file === 'runtime/gateway.ts' && target === 'runtime/socket/server.ts'));
});

test('folders import only what their border allows', () => {
  for (const { file, target } of imports) {
    const allowed = mayImport[file.split('/', 1)[0] ?? ''];
    const isOurs = /^(crds|infra|operator|runtime|cli|test|bench|examples)\//.test(target);
    if (allowed === undefined || !isOurs) continue;
    assert.ok(
      allowed.some((folder) => isBelow(target, folder)),
      `${file} imports ${target}`,
    );
  }
});

test('nobody imports tests, and only the command imports the operator', () => {
  for (const { file, target } of imports) {
    if (isBelow(file, 'bench')) continue;
    assert.ok(!isBelow(target, 'test'), `${file} imports ${target}`);
    if (isBelow(target, 'operator'))
      assert.ok(isBelow(file, 'operator') || isBelow(file, 'cli'), `${file} imports ${target}`);
  }
});

test('every dependency has one door', () => {
  for (const { file, target } of imports) {
    const door = doors[packageOf(target)];
    if (door === undefined || isBelow(file, 'bench')) continue;
    assert.ok(isBelow(file, door), `${file} imports ${target}, whose door is ${door}/`);
  }
});

test('of cdk8s-plus only the L1 classes are loaded at run time', () => {
  for (const file of product.filter((path) => isBelow(path, 'infra'))) {
    const loaded = /^import (?!type).* from 'cdk8s-plus-28';$/m.exec(readFileSync(file, 'utf8'));
    assert.equal(loaded, null, `${file}: ${loaded?.[0]}`);
  }
});

test('the rooms of the runtime do not know one another, nor who composes them', () => {
  const shared = /^runtime\/(errors|log)\.ts$/;
  for (const { file, target } of imports) {
    const room = rooms.find((candidate) => isBelow(file, candidate));
    if (room === undefined || !isBelow(target, 'runtime') || isBelow(target, room)) continue;
    const isBusPort = target === 'runtime/bus/port.ts';
    assert.ok(shared.test(target) || isBusPort, `${file} imports ${target}`);
  }
});

test('only close.ts and the error table name close codes', () => {
  for (const file of product.filter((path) => isBelow(path, 'runtime') && !path.endsWith('/close.ts'))) {
    if (file === 'runtime/errors.ts') continue;
    const code = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    const named = /\b\w*(code|close)\w*\b[^\n]{0,20}\b(100[1-9]|101[0-5])\b/i.exec(code);
    assert.equal(named, null, `${file} names a close code: ${named?.[0]}`);
  }
});
