import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { files } from './sources.ts';

const text = /\.(ts|js|mjs|json|md|yaml|py|go|sh)$/;

test('no file holds a merge marker, a test that is switched off, or a note to be done later', () => {
  for (const path of files().filter(
    (file) => text.test(file) && !file.startsWith('package-lock') && file !== 'test/house/words.test.ts',
  )) {
    const content = readFileSync(path, 'utf8');
    assert.doesNotMatch(content, /^(<{7}|>{7}) /m, path);
    assert.doesNotMatch(content, /\b(TODO|FIXME|XXX|HACK)\b|\b(test|it|describe)\.(only|skip)\(/, path);
  }
});

test('log.ts has every log line, with a constant message', () => {
  const logging = /\blog(ger)?\.(trace|debug|info|warn|error|fatal)\(/;
  for (const path of files().filter((file) => /^(runtime|cli)\/.*\.ts$/.test(file) && file !== 'runtime/role/log.ts')) {
    assert.doesNotMatch(readFileSync(path, 'utf8'), logging, path);
  }
});
