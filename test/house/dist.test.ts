import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { bundles } from '../../infra/bundles.ts';
import { defaultImage } from '../../infra/image.ts';
import './sources.ts'; // the working directory is the root

const expected = bundles();

test('dist/ holds exactly what npm run synth writes', () => {
  assert.deepEqual(readdirSync('dist').sort(), Object.keys(expected).sort());
  for (const [name, text] of Object.entries(expected)) {
    assert.ok(readFileSync(`dist/${name}`, 'utf8') === text, `dist/${name} is stale: npm run synth`);
  }
});

test('the default image is that of this version of the package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  assert.ok(defaultImage.endsWith(`:${version}`), `${defaultImage} is not of ${version}`);
});
