/** A name means one thing in the whole tree, and what is written is used. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import test from 'node:test';

import { type Declaration, readGraph } from './graph.ts';

/** A kind is a document in `crds/` and a construct in `infra/`; users import both from the package. */
const declaredTwice = ['HydrogenGroup', 'HydrogenGateway', 'HydrogenMessageProcessor'];

/** Its exports are those of the package. */
const publicIndex = ['infra/index.ts', 'crds/wire.ts'];
/** Imported by cli/hydrogen.js under a name that is computed. */
const entryPoint = 'cli/main.ts: main';

const graph = readGraph();
const manifest = readFileSync('package.json', 'utf8');

const isProduct = (file: string): boolean => /^(crds|infra|process|runtime|operator|cli)\//.test(file);
const isExample = (file: string): boolean => file.startsWith('examples/');

test('no name of a type, class or function is exported by two files', () => {
  const named = graph.declarations.filter(({ file, kind }) => kind !== 'value' && !isExample(file));
  const twice = [...Map.groupBy(named, ({ name }) => name)]
    .filter(([name, all]) => all.length > 1 && !declaredTwice.includes(name))
    .map(([name, all]) => `${name}: ${all.map(({ file }) => file).join(', ')}`);
  assert.deepEqual(twice, []);
});

test('every source file is reachable from a command, a script of the package, the package itself, or a test', () => {
  const isEntry = (file: string): boolean =>
    file.endsWith('.test.ts') || manifest.includes(file) || manifest.includes(`build/${file.replace(/ts$/, 'js')}`);
  const byName = Map.groupBy(graph.files, (file) => basename(file));
  const reached = new Set(graph.files.filter((file) => isEntry(file) || isExample(file)));
  for (const file of reached) {
    for (const target of graph.imports.filter((one) => one.file === file).map((one) => one.target)) reached.add(target);
    // A file that is started as a process, or found by its URL, is named in a string.
    for (const [name] of graph.code(file).matchAll(/[\w.-]+\.(?:ts|js|mjs)(?=['"`])/g)) {
      for (const other of byName.get(name) ?? []) reached.add(other);
    }
  }
  assert.deepEqual(
    graph.files.filter((file) => !reached.has(file)),
    [],
  );
});

test('every export of the product is used outside its file', () => {
  const isInside = (file: string): boolean => !file.startsWith('test/') && !isExample(file);
  const namesIn = (from: (file: string) => boolean): Set<string> =>
    new Set(
      graph.imports
        .filter(({ file }) => from(file))
        .flatMap(({ target, names }) => names.map((name) => `${target}#${name}`)),
    );
  const [inside, inTests] = [namesIn(isInside), namesIn((file) => !isInside(file))];
  const isIn = (set: Set<string>, { file, name }: Declaration): boolean =>
    set.has(`${file}#${name}`) || set.has(`${file}#*`);
  const isUsedAtHome = ({ file, name }: Declaration): boolean =>
    (graph.code(file).match(new RegExp(`\\b${name}\\b`, 'g')) ?? []).length > 1;
  // Types may be exported because other exports of their file mention them, values because a test looks inside.
  const isAlive = (one: Declaration): boolean =>
    isIn(inside, one) || ((one.kind === 'type' || isIn(inTests, one)) && isUsedAtHome(one));
  const isPublic = ({ file, name }: Declaration): boolean =>
    publicIndex.includes(file) || `${file}: ${name}` === entryPoint;

  const dead = [
    ...graph.declarations.filter((one) => !isAlive(one)),
    ...graph.passedOn.filter((one) => !isIn(inside, one) && !isIn(inTests, one)),
  ];
  assert.deepEqual(
    dead.filter((one) => isProduct(one.file) && !isPublic(one)).map(({ file, name }) => `${file}: ${name}`),
    [],
  );
});
