import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../process/logger.ts';

test('escapes every control character that a terminal would obey', () => {
  const lines: string[] = [];
  const logger = createLogger({ destination: { write: (line) => void lines.push(line) } });
  const path = '/\u0007\u001b[31m\u007f\u009b31m\u0085ü';
  logger.info({ path }, 'upgrade refused');
  assert.doesNotMatch(lines.join().trimEnd(), /\p{Cc}/u);
  assert.equal(JSON.parse(lines.join()).path, path);
});
