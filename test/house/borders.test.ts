import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { readGraph } from './graph.ts';

/** Which folders of ours each folder may import. `cli` is the composition root: it may import everything but tests. */
const mayImport: Record<string, readonly string[]> = {
  crds: ['crds'],
  infra: ['infra', 'crds'],
  process: ['process', 'crds'],
  operator: ['operator', 'crds', 'infra', 'process', 'runtime/bus'],
  runtime: ['runtime', 'crds', 'process'],
  cli: ['cli', 'crds', 'infra', 'operator', 'process', 'runtime'],
  bench: ['bench', 'crds', 'infra', 'process', 'runtime', 'test/kit'],
};

/** The only folder that may import each package. */
const doors: Record<string, string> = {
  ws: 'runtime/socket',
  nats: 'runtime/bus/nats',
  undici: 'runtime/http/client',
  fastify: 'runtime/http/management',
  cdk8s: 'infra',
  'cdk8s-plus-28': 'infra',
  '@kubernetes/client-node': 'operator/kube',
  re2js: 'crds',
  commander: 'cli',
  jose: 'runtime/jwt',
};

/**
 * The rooms of the runtime, each with the rooms of the runtime that it may import. Rooms on one floor do not know one
 * another; only `gateway` and `processor` compose them. `errors.ts`, `close.ts`, `names.ts`, `json-member.ts`,
 * `origins.ts`, `push-status.ts` and `fifo.ts` are the ground floor.
 */
const rooms: Record<string, readonly string[]> = {
  'runtime/bus': [],
  'runtime/socket': [],
  'runtime/http/client': [],
  'runtime/http/management': [],
  'runtime/jwt': [],
  'runtime/route': ['runtime/bus/port'],
  'runtime/peers': ['runtime/bus/port'],
  'runtime/role': ['runtime/bus/port'],
  'runtime/http/services': ['runtime/bus/port', 'runtime/route', 'runtime/http/client'],
  'runtime/gateway': [
    'runtime/bus/port',
    'runtime/socket',
    'runtime/http/client',
    'runtime/http/services',
    'runtime/http/management',
    'runtime/jwt',
    'runtime/peers',
    'runtime/role',
  ],
  'runtime/processor': [
    'runtime/bus/port',
    'runtime/bus/options',
    'runtime/route',
    'runtime/http/client',
    'runtime/http/services',
    'runtime/peers',
    'runtime/role',
  ],
};
const ground = ['errors.ts', 'close.ts', 'names.ts', 'json-member.ts', 'origins.ts', 'push-status.ts', 'fifo.ts'].map(
  (file) => `runtime/${file}`,
);

/**
 * The rooms of the operator, from the lowest to the highest: each may import those before it. `log.ts`, `digest.ts` and
 * `queue.ts` are the ground floor; the other files of the folder compose the rooms.
 */
const operatorRooms = ['kube', 'cache', 'status', 'children', 'nats', 'reconcile'].map((room) => `operator/${room}`);
const operatorGround = ['operator/log.ts', 'operator/digest.ts', 'operator/queue.ts'];

const graph = readGraph();
const product = graph.files.filter((file) => !file.startsWith('test/') && !file.startsWith('examples/'));
const imports = graph.imports.filter(({ file }) => product.includes(file));

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
  assert.ok(
    imports.some(({ file, target }) => file === 'runtime/gateway/gateway.ts' && target === 'runtime/socket/server.ts'),
  );
});

test('folders import only what their border allows', () => {
  for (const { file, target } of imports) {
    const allowed = mayImport[file.split('/', 1)[0] ?? ''];
    const isOurs = /^(crds|infra|operator|process|runtime|cli|test|bench|examples)\//.test(target);
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

test('each room of the runtime imports only the rooms below it', () => {
  for (const { file, target } of imports) {
    if (!isBelow(file, 'runtime') || !isBelow(target, 'runtime') || ground.includes(target)) continue;
    const room = Object.keys(rooms).find((candidate) => isBelow(file, candidate));
    const allowed = room === undefined ? [] : [room, ...(rooms[room] ?? [])];
    assert.ok(
      allowed.some((folder) => isBelow(target, folder) || target === `${folder}.ts`),
      `${file} imports ${target}`,
    );
  }
});

test('each room of the operator imports only the rooms below it', () => {
  for (const { file, target } of imports) {
    const height = operatorRooms.findIndex((room) => isBelow(file, room));
    if (!isBelow(target, 'operator') || operatorGround.includes(target)) continue;
    if (height === -1) {
      assert.ok(!operatorGround.includes(file), `${file}, of the ground floor, imports ${target}`);
      continue;
    }
    const allowed = operatorRooms.slice(0, height + 1);
    assert.ok(
      allowed.some((room) => isBelow(target, room)),
      `${file} imports ${target}`,
    );
  }
});

test('only close.ts and the error table name close codes', () => {
  for (const file of product.filter((path) => isBelow(path, 'runtime') && !path.endsWith('/close.ts'))) {
    if (file === 'runtime/errors.ts') continue;
    const named = /\b\w*(code|close)\w*\b[^\n]{0,20}\b(100[1-9]|101[0-5])\b/i.exec(graph.code(file));
    assert.equal(named, null, `${file} names a close code: ${named?.[0]}`);
  }
});
