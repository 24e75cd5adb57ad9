import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberSource } from '../../runtime/json-member.ts';
import { createRandom, type Random } from '../fault/soak/random.ts';
import { fuzzSeed } from '../kit/fuzz.ts';

const cases: readonly (readonly [json: string, source: string | undefined])[] = [
  ['{}', undefined],
  ['{"a":1}', undefined],
  ['{"context":{"id":1234567890123456789}}', '{"id":1234567890123456789}'],
  [' { "a" : [ {"context":1} ] , "context" : { "b" : 1e400 } } ', '{ "b" : 1e400 }'],
  ['{"a":"\\"context\\":{","context":{"b":"}\\\\"},"c":null}', '{"b":"}\\\\"}'],
  ['{"context":1,"\\u0063ontext":{"last":true}}', '{"last":true}'],
  ['{"context":true,"a":false}', 'true'],
  ['{"a":-1.5e3\n,"context":[]\t}', '[]'],
];

for (const [json, source] of cases) {
  test(`finds ${source} in ${json}`, () => assert.equal(memberSource(json, 'context'), source));
}

test('finds what JSON.parse finds, in whatever it accepts', () => {
  const random = createRandom(fuzzSeed);
  for (let round = 0; round < 5_000; round++) {
    const json = objectText(random, 3);
    const source = memberSource(json, 'context');
    assert.deepEqual(source === undefined ? undefined : JSON.parse(source), JSON.parse(json).context, json);
  }
});

function objectText(random: Random, levels: number): string {
  const members = Array.from({ length: random.between(0, 3) }, () => {
    return `${space(random)}"${random.pick(['context', 'a', '\\"', 'con\\u0074ext'])}"${space(random)}:${valueText(random, levels)}`;
  });
  return `${space(random)}{${members.join(',')}${space(random)}}${space(random)}`;
}

function valueText(random: Random, levels: number): string {
  const simple = ['1', '-0.5e-3', 'true', 'null', '"x"', '"}\\\\"', '"],\\"context\\":"', '""'];
  const deep = levels > 0 && random.happens(0.5);
  const items = Array.from({ length: random.between(0, 2) }, () => (deep ? valueText(random, levels - 1) : '0'));
  const text = random.pick(deep ? [objectText(random, levels - 1), `[${items.join(',')}]`] : simple);
  return space(random) + text + space(random);
}

function space(random: Random): string {
  return random.pick(['', '', ' ', '\n\t', '\r\n']);
}
