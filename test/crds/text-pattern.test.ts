import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RE2JS } from 're2js';
import { parse } from '../../crds/index.ts';
import { compilePattern, patternCost } from '../../crds/text-pattern.ts';
import { processorDocument } from '../kit/documents.ts';

const matches = (pattern: string, text: string): boolean => compilePattern(pattern)?.(text) ?? true;

const cases: readonly (readonly [pattern: string, text: string, isFound: boolean])[] = [
  ['', '', true],
  ['.*', '', true],
  ['.*', 'a\nb', true],
  ['^.*', '\n', true],
  ['.*$', 'a\nb', true],
  ['^.*$', 'a\nb', false],
  ['(?s)^.*$', 'a\nb', true],
  ['^!', '!help', true],
  ['^!', 'help!', false],
  ['!', 'help!', true],
  ['!$', 'help!', true],
  ['!$', 'help!\n', false],
  ['^ping$', 'ping', true],
  ['^ping$', 'ping\n', false],
  ['^ping$', 'pingping', false],
  ['^a\\.b', 'a.b', true],
  ['^a\\.b', 'axb', false],
  ['^a.b', 'axb', true],
  ['\\^a', '^a', true],
  ['a|b', 'xb', true],
  ['^(?:join|leave) #\\w+$', 'join #room', true],
  ['(?i)^hello', 'HELLO', true],
  ['"type":\\s*"chat"', '{"type": "chat"}', true],
  ['\\p{Greek}', 'αβγ', true],
  ['^.$', '😀', true],
  ['[[:digit:]]{3}', 'ab123', true],
];

for (const [pattern, text, isFound] of cases) {
  test(`${isFound ? 'finds' : 'does not find'} ${JSON.stringify(pattern)} in ${JSON.stringify(text)}`, () => {
    assert.equal(matches(pattern, text), isFound);
    assert.equal(RE2JS.compile(pattern).test(text), isFound, 're2js says otherwise');
  });
}

test('decides literals and patterns that match everything as re2js does', () => {
  const atoms = [
    '',
    '.*',
    '^',
    '$',
    'a',
    'b',
    'ab',
    ' ',
    '!',
    '\\.',
    '\\*',
    '\\_',
    '\\-',
    '-',
    ':',
    '"',
    '/',
    '\\\\',
    '\\$',
    '\\^',
    '<',
    '=',
  ];
  const letters = [
    'a',
    'b',
    'ab',
    ' ',
    '!',
    '.',
    '*',
    '_',
    '-',
    ':',
    '"',
    '/',
    '\\',
    '$',
    '^',
    '<',
    '=',
    '\n',
    'é',
    '😀',
    '\ud800',
  ];
  let seed = 1;
  const pick = (from: readonly string[]): string => {
    seed = (seed * 48_271) % 2_147_483_647;
    return from[seed % from.length] ?? '';
  };
  const join = (from: readonly string[], most: number): string =>
    Array.from({ length: seed % (most + 1) }, () => pick(from)).join('');
  let found = 0;
  for (let i = 0; i < 20_000; i++) {
    const pattern = `${pick(['', '^'])}${join(atoms, 3)}${pick(['', '$'])}`;
    let engine: RE2JS;
    try {
      engine = RE2JS.compile(pattern);
    } catch {
      continue;
    }
    const text = join(letters, 6);
    const expected = engine.test(text);
    if (expected) found++;
    assert.equal(matches(pattern, text), expected, `${JSON.stringify(pattern)} in ${JSON.stringify(text)}`);
  }
  assert(found > 2_000 && found < 18_000, `${found} of 20,000 found: the samples prove little`);
});

for (const [pattern, text] of [
  ['(a+)+$', `${'a'.repeat(200_000)}b`],
  ['^(a|a)*$', `${'a'.repeat(200_000)}b`],
  ['^(\\w+\\s?)*$', `${'word '.repeat(40_000)}!`],
  ['(x+x+)+y', 'x'.repeat(200_000)],
  ['(.*)(.*)(.*)(.*)[^b]$', `${'a'.repeat(200_000)}b`],
] as const) {
  test(`takes linear time for ${pattern}`, () => {
    const startedMs = performance.now();
    assert.equal(matches(pattern, text), false);
    // A backtracking engine needs longer than the universe will last.
    assert(performance.now() - startedMs < 2_000);
  });
}

for (const pattern of ['(', '[a', 'a**', '(?=a)', '\\1', '(?<=a)b', 'a{1001}', '((a{100}){100}){100}', '\\y']) {
  test(`refuses ${pattern} with a reason`, () => {
    assert.throws(
      () => compilePattern(pattern),
      (err) => err instanceof SyntaxError && err.message.length > 10,
    );
  });
}

function problemsOf(patterns: readonly string[]): string[] {
  const destination = { url: 'http://a/' };
  const rules = patterns.map((pattern, index) => ({ name: `r${index}`, pattern, destination }));
  const result = parse(processorDocument({ routing: { rules } }));
  return result.ok ? [] : result.issues.map(({ path, message }) => `${path}: ${message}`);
}

test('refuses patterns that cost a message too much, with the number', () => {
  const problem =
    'spec.routing.rules: must not have patterns of more than 2000 instructions together; shorten their repetitions';
  assert.deepEqual(problemsOf(['\\pL{1000}'.repeat(5)]), [`${problem}: they have 5002`]);
  assert.deepEqual(problemsOf(Array(3).fill('\\pL{800}')), [`${problem}: they have 2406`]);
});

test('takes as many literals as there may be rules, and usual patterns', () => {
  assert.equal(patternCost('^join #room$') + patternCost('.*'), 0);
  assert.deepEqual(problemsOf(Array.from({ length: 256 }, (_, index) => `^command-${index}`)), []);
  assert.deepEqual(problemsOf(Array(40).fill('"type":\\s*"(chat|join|leave)"')), []);
});
