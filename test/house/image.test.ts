/** The container image, as far as its recipe can be judged without an engine to build it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';

import { ports } from '../../crds/contract.ts';
import { entryPoint } from '../../infra/image.ts';

const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const recipe = read('Dockerfile');
const [, build = '', image = ''] = recipe.split(/^FROM .*$/m);

test('the image runs as a user that a kubelet can tell is not root', () => {
  const users = [...image.matchAll(/^USER (.*)$/gm)].map(([, user]) => user);
  assert.deepEqual(users, ['65532:65532']);
});

test('the image starts the command, with its role as the first argument', () => {
  const [, entry = ''] = /^ENTRYPOINT (.*)$/m.exec(image) ?? [];
  assert.deepEqual(JSON.parse(entry), [entryPoint.program, ...entryPoint.flags, entryPoint.script]);
  assert.ok(existsSync(new URL('../../cli/hydrogen.js', import.meta.url)));
  assert.doesNotMatch(image, /^(CMD|HEALTHCHECK)/m);
});

test('the image names the ports of the contract', () => {
  const [, exposed = ''] = /^EXPOSE (.*)$/m.exec(image) ?? [];
  assert.deepEqual(exposed.split(' ').map(Number), Object.values(ports));
});

test('the image has the Node that the tests run on', () => {
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
  assert.deepEqual(
    [...recipe.matchAll(/^FROM .*node:([\d.]+)-/gm)].map((match) => match[1]),
    [devDependencies.node, devDependencies.node],
  );
});

test('the build stage is given every folder that is built, and builds with the script of the package', () => {
  const { include } = JSON.parse(read('tsconfig.build.json')) as { include: string[] };
  const allowed = [...read('.dockerignore').matchAll(/^!(.*)$/gm)].map(([, name]) => name ?? '');
  for (const folder of include) assert.ok(allowed.includes(folder), folder);
  for (const file of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']) {
    assert.ok(allowed.includes(file), file);
  }
  assert.match(build, /npm run build/);
  assert.match(build, /npm prune --omit=dev/);
});

test('no production dependency is built for one kind of machine, so one build serves an image for every processor', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; cpu?: unknown; hasInstallScript?: boolean }>;
  };
  const native = Object.entries(packages).filter(
    ([, entry]) => !entry.dev && !entry.devOptional && (entry.cpu !== undefined || entry.hasInstallScript),
  );
  assert.deepEqual(
    native.map(([path]) => path).filter((path) => path !== ''),
    [],
  );
});
