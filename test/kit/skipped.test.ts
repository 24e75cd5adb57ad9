import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

/** What the reporter prints about one file of tests. */
function reportOf(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'hydrogen-skipped-'));
  try {
    writeFileSync(join(folder, 'a.test.mjs'), `import test from 'node:test';\n${text}`);
    const reporter = `--test-reporter=${join(import.meta.dirname, 'skipped.ts')}`;
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = ['--test', reporter, 'a.test.mjs'];
    return spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' }).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('the end of a run says what was skipped, by reason, and in which files', () => {
  const report = reportOf(`
    test('one', { skip: 'no Kubernetes; install Go' }, () => {});
    test('two', { skip: 'no Kubernetes; install Go' }, () => {});
    test('three', { skip: true }, () => {});
    test('four', () => {});`);
  assert.equal(
    report,
    '\nSKIPPED: 3 tests\n  2: no Kubernetes; install Go\n     a.test.mjs\n  1: no reason given\n     a.test.mjs\n',
  );
});

test('a run without skipped tests ends without such lines', () => {
  assert.equal(reportOf("test('one', () => {});"), '');
});
