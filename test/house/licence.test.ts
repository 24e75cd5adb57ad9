/** The licence and the address of the project are the same wherever they are stated. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { files } from './sources.ts';

const read = (name: string): string => readFileSync(name, 'utf8');
const manifest = JSON.parse(read('package.json')) as {
  readonly license: string;
  readonly repository: { readonly url: string };
  readonly homepage: string;
  readonly bugs: string;
};
const labels = Object.fromEntries(
  [...read('Dockerfile').matchAll(/org\.opencontainers\.image\.(\w+)="([^"]*)"/g)].map(([, name, value]) => [
    name,
    value,
  ]),
);

test('the licence file, the package and the image state the same licence', () => {
  const [title = '', , holder] = read('LICENSE').split('\n');
  assert.equal(title, `${manifest.license} License`);
  assert.equal(holder, 'Copyright (c) 2026 The hydrogen authors');
  assert.equal(labels.licenses, manifest.license);
});

test('the package, the image and every page link to one repository', () => {
  const address = manifest.repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
  assert.equal(labels.source, address);
  assert.deepEqual([manifest.homepage, manifest.bugs], [`${address}#readme`, `${address}/issues`]);
  const [owner = ''] = new URL(address).pathname.slice(1).split('/');
  for (const file of files().filter((path) => /\.(md|yaml|ts|json)$/.test(path))) {
    for (const [, path] of read(file).matchAll(new RegExp(`https://github\\.com/(${owner}/[\\w.-]+)`, 'g'))) {
      assert.equal(`https://github.com/${path?.replace(/\.git$/, '')}`, address, file);
    }
  }
});
