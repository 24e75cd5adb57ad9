/** Commands that pages, examples and programs print must work where a reader types them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { files } from './sources.ts';

test('nothing prints `npx hydrogen`, which outside of a clone runs a package of somebody else', () => {
  const printing = files().filter((path) => /\.(md|ya?ml|ts|js|mjs)$/.test(path) && !path.startsWith('test/house/'));
  const wrong = printing.filter((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .some((line) => /npx hydrogen /.test(line)),
  );
  assert.deepEqual(wrong, []);
});

test('the command says the same oldest Node as its package and the README', () => {
  const [, major, minor] =
    /major < (\d+) \|\| \(major === \1 && minor < (\d+)\)/.exec(readFileSync('cli/hydrogen.js', 'utf8')) ?? [];
  const oldest = `${major}.${minor}`;
  assert.ok(readFileSync('tools/packages.ts', 'utf8').includes(`oldestNode = '${oldest}'`), oldest);
  for (const page of [
    'README.md',
    'docs/decisions/2026-11-27-two-packages.md',
    'examples/README.md',
    'cli/hydrogen.js',
  ])
    assert.ok(readFileSync(page, 'utf8').includes(`Node ${oldest} or newer`), page);
});
