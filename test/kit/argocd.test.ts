import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';

import { argoCdVersion } from './argocd-binaries.ts';

test('without its programs, tests with Argo CD are skipped under CI too, with a loud line and without a build', () => {
  const script = `import { argoCdOrSkip } from ${JSON.stringify(join(import.meta.dirname, 'argocd.ts'))};
    console.log(await argoCdOrSkip());`;
  // Without git in PATH there is no Argo CD, whatever is in the cache.
  const env = { CI: 'true', PATH: '' };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, `no Argo CD ${argoCdVersion}; npm run test:argocd builds and runs it\n`);
  assert.match(stderr, /SKIPPING EVERY TEST THAT NEEDS ARGO CD: git is not installed; npm run test:argocd builds/);
});
