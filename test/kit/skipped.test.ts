import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

/** What the reporter prints about one file of tests. */
function reportOf(text: string, file?: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'hydrogen-skipped-'));
  try {
    writeFileSync(join(folder, 'a.test.mjs'), `import test from 'node:test';\n${text}`);
    const reporter = `--test-reporter=${join(import.meta.dirname, 'skipped.ts')}`;
    const { NODE_TEST_CONTEXT: _, TEST_SKIPPED: __, ...rest } = process.env;
    const env = { ...rest, ...(file !== undefined && { TEST_SKIPPED: join(folder, file) }) };
    const args = ['--test', reporter, 'a.test.mjs'];
    const { stdout } = spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' });
    return file === undefined ? stdout : `${stdout}${readFileSync(join(folder, file), 'utf8')}`;
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

test('a run of several parts keeps what was skipped in a file, for its end', () => {
  const report = reportOf("test('one', { skip: 'no Go' }, () => {});", 'skipped');
  assert.equal(report, '{"file":"a.test.mjs","reason":"no Go"}\n');
});
