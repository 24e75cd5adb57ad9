/** The house's list of phrases that a reader has to read twice; see CONTRIBUTING.md. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { files } from './sources.ts';

const avoided: Readonly<Record<string, RegExp>> = {
  anew: /\banew\b/i,
  'look after, looked at': /\blook(s|ed|ing)? after\b|\b(is|are|was|were|be|been|being|not) looked at\b/i,
  mend: /\bmend(s|ed|ing)?\b/i,
  'in vain': /\bin vain\b/i,
  'is told, tells': /\b(is|are|was|were|be|been|being) told\b|\btells\b/i,
  'as it stands': /\b(as|how) (it|they|things) stands?\b/i,
  'what becomes of': /\bwhat (becomes|became|has become) of\b/i,
  'but for': /\bbut for\b/i,
};

/** This list itself, and the changelog, which quotes old names. */
const exempt = ['test/house/english.test.ts', 'CHANGELOG.md'];
const isText = (file: string): boolean => /\.(ts|js|mjs|md|yaml)$/.test(file) && !exempt.includes(file);

test('no text has a phrase of the list', () => {
  const found = files()
    .filter(isText)
    .flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .flatMap((line, index) =>
          Object.entries(avoided)
            .filter(([, pattern]) => pattern.test(line))
            .map(([phrase]) => `${file}:${index + 1}: ${phrase}`),
        ),
    );
  assert.deepEqual(found, []);
});
