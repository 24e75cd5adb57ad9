/** How test files are written. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { sources } from './sources.ts';

test('a test file waits for nothing between its tests: the runner would end it after those that it has', () => {
  const waiting = sources()
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => {
      const lines = readFileSync(file, 'utf8').split('\n');
      const first = lines.findIndex((line) => line.startsWith('test('));
      return (
        first >= 0 && lines.slice(first).some((line) => /^(const|let|await|for|if)\b.*\bawait\b|^await\b/.test(line))
      );
    });
  assert.deepEqual(waiting, []);
});
