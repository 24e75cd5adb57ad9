import assert from 'node:assert/strict';
import test from 'node:test';
import { type TSchema, Type } from 'typebox';

import { kinds } from '../../crds/index.ts';
import { segments } from '../../crds/path.ts';
import {
  Fields,
  FreeText,
  Integer,
  List,
  ListMap,
  type Node,
  nodeOf,
  Quantity,
  StringEnum,
  StringMap,
  withDefault,
} from '../../crds/schema.ts';
import { assertStructural } from './structural.ts';

const description = 'A thing.';
const text = FreeText(10, { description });
const field = (schema: TSchema): TSchema => Fields({ a: schema }, { description });

for (const [kind, { schema }] of Object.entries(kinds)) {
  test(`has a structural schema for ${kind}`, () => assertStructural(schema));
}

test('accepts every helper of the dialect', () => {
  assertStructural(
    Fields(
      {
        text,
        quantity: withDefault(Quantity({ description }), '1Gi'),
        map: StringMap(FreeText(5), { description, maxProperties: 3 }),
        list: ListMap(['text'], Fields({ text }, { description }), { description, maxItems: 3 }),
        word: StringEnum(['a', 'b'], { description }),
        nested: withDefault(Fields({ count: withDefault(Integer(0, 3, { description }), 1) }, { description }), {}),
      },
      { description },
    ),
  );
});

const refused: readonly [string, TSchema, RegExp][] = [
  ['a missing type', field(Type.Unsafe({ description })), /^a: has no type$/],
  ['a list of types', field(Type.Unsafe({ type: ['string', 'null'], description })), /^a: has the unusable type/],
  ['a missing description', field(FreeText(10)), /^a: has no description$/],
  ['$ref', field(Type.Unsafe({ type: 'object', properties: {}, $ref: '#/a', description })), /unusable keyword \$ref/],
  ['const', field(Type.Literal('x', { description, maxLength: 1 })), /unusable keyword const/],
  ['a union', field(Type.Union([Type.String(), Type.Boolean()], { description })), /has no type/],
  ['patternProperties', field(Type.Record(Type.String(), Type.String(), { description })), /keyword patternProperties/],
  ['uniqueItems', field(List(FreeText(1), { description, maxItems: 1, ...{ uniqueItems: true } })), /uniqueItems/],
  [
    'additionalProperties beside properties',
    Type.Object({ a: text }, { description, additionalProperties: FreeText(1), maxProperties: 2 }),
    /both properties and additionalProperties/,
  ],
  [
    'additionalProperties: false',
    Type.Object({ a: text }, { description, additionalProperties: false }),
    /additionalProperties/,
  ],
  ['an unbounded string', field(Type.String({ description })), /^a: has no maxLength$/],
  ['an unbounded list', field(Type.Array(FreeText(1), { description })), /^a: has no maxItems/],
  [
    'an unbounded map',
    field(Type.Unsafe({ type: 'object', additionalProperties: { type: 'boolean' }, description })),
    /maxProperties/,
  ],
  ['an unbounded integer', field(Type.Integer({ description })), /^a: has no bounds$/],
  [
    'an unbounded string in a list',
    field(List(Type.String(), { description, maxItems: 1 })),
    /^a\[\*\]: has no maxLength$/,
  ],
  ['look-ahead', field(Type.String({ description, maxLength: 1, pattern: '^(?!a)' })), /RE2/],
  ['a default of the wrong type', field(withDefault(text, 5)), /^a\.default: must be a string/],
  ['a default out of bounds', field(withDefault(Integer(1, 2, { description }), 3)), /^a\.default: must be an integer/],
  [
    'a list map whose key may be absent',
    field(ListMap(['b'], Fields({ b: Type.Optional(text) }, { description }), { description, maxItems: 1 })),
    /has the key b/,
  ],
];

for (const [what, schema, message] of refused) {
  test(`refuses ${what}`, () => assert.throws(() => assertStructural(schema), { name: 'TypeError', message }));
}

test('does not list a field with a default as required', () => {
  const node = nodeOf(Fields({ a: text, b: withDefault(text, 'x'), c: Type.Optional(text) }, { description }));
  assert.deepEqual(node.required, ['a']);
  assert.equal('required' in nodeOf(Fields({ b: withDefault(text, 'x') }, { description })), false);
});

for (const [kind, { schema, rules }] of Object.entries(kinds)) {
  test(`attaches each rule of ${kind} to a node that exists and does not default to an object`, () => {
    for (const { path } of rules.filter((rule) => rule.path !== '')) {
      const byDefault = nodeAt(nodeOf(schema), path).default;
      assert.ok(byDefault === undefined || Array.isArray(byDefault), path);
    }
  });
}

function nodeAt(spec: Node, path: string): Node {
  let node: Node | undefined = { type: 'object', properties: { spec } };
  for (const segment of segments(path)) node = segment === '*' ? node?.items : node?.properties?.[segment];
  assert.ok(node, `${path} is not in the schema`);
  return node;
}
