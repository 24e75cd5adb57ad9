import assert from 'node:assert/strict';
import test from 'node:test';

import { kinds } from '../../crds/kinds.ts';
import { customResourceDefinitions, type ManifestNode } from '../../crds/manifest.ts';
import { type Validation, validationsOf } from '../../crds/manifest-validations.ts';
import { Fields, FreeText, Integer } from '../../crds/schema.ts';
import { assertStructural } from './structural.ts';

/** Every object in `value`, with its path. */
function* objectsIn(value: unknown, path = ''): Generator<[string, Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [path, value as Record<string, unknown>];
  for (const [key, inner] of Object.entries(value)) yield* objectsIn(inner, `${path}/${key}`);
}

const definitions = customResourceDefinitions();
const named = Object.fromEntries(definitions.map((definition) => [definition.spec.names.kind, definition]));

test('names the kinds as users type them', () => {
  assert.deepEqual(
    definitions.map(({ metadata, spec: { names } }) => [
      metadata.name,
      names.listKind,
      names.shortNames,
      names.categories,
    ]),
    [
      ['hydrogengroups.hydrogen.dev', 'HydrogenGroupList', ['hgrp'], ['hydrogen']],
      ['hydrogengateways.hydrogen.dev', 'HydrogenGatewayList', ['hgw'], ['hydrogen']],
      ['hydrogenmessageprocessors.hydrogen.dev', 'HydrogenMessageProcessorList', ['hmp'], ['hydrogen']],
    ],
  );
});

test('returns the same bytes on each call, and no object that two callers share', () => {
  const [first, second] = [customResourceDefinitions(), customResourceDefinitions()];
  assert.equal(JSON.stringify(first), JSON.stringify(second));
  const seen = new Set([...objectsIn(first)].map(([, object]) => object));
  const shared = [...objectsIn(second)].filter(([, object]) => seen.has(object)).map(([path]) => path);
  assert.deepEqual(
    shared.filter((path) => path.includes('openAPIV3Schema')),
    [],
  );
});

test('contains only plain JSON', () => {
  assert.deepEqual(JSON.parse(JSON.stringify(definitions)), definitions);
});

test('lets kubectl scale workloads', () => {
  const scaled = definitions.filter(({ spec }) => spec.versions[0]?.subresources.scale !== undefined);
  const workloads = ['HydrogenGateway', 'HydrogenMessageProcessor'];
  assert.deepEqual(
    scaled.map(({ spec }) => spec.names.kind),
    workloads,
  );
});

// The requirements of `cdk8s import` for a definition: src/import/crd.ts and reviver.ts of cdk8s-cli.
test('has only keys that cdk8s import accepts', () => {
  const keys = [...objectsIn(definitions)].flatMap(([path, object]) =>
    Object.keys(object).map((key) => `${path}/${key}`),
  );
  assert.ok(keys.length > 1000);
  assert.deepEqual(
    keys.filter((key) => !/^(\w|\.|\/|-|#|,)*$/.test(key)),
    [],
  );
});

test('has only words in enumerations that cdk8s import keeps', () => {
  const words = [...objectsIn(definitions)].flatMap(([, { enum: values }]) => (Array.isArray(values) ? values : []));
  assert.ok(words.includes('ServerToClient'));
  assert.deepEqual(
    words.filter((word) => !/^[ \w./\-#,+:*!=~]*$/.test(String(word))),
    [],
  );
});

test('lists no field with a default as required, so that imported classes leave it optional', () => {
  for (const [path, { required, properties }] of objectsIn(definitions)) {
    for (const name of Array.isArray(required) ? (required as string[]) : []) {
      assert.equal('default' in ((properties as Record<string, object>)[name] ?? {}), false, `${path}/${name}`);
    }
  }
});

for (const [kind, definition] of Object.entries(kinds)) {
  test(`places every rule of ${kind}`, () => {
    const placed = [...objectsIn(named[kind])].flatMap(([, object]) => object['x-kubernetes-validations'] ?? []);
    // Long patterns are rules as well.
    const texts = placed.map((rule) => JSON.stringify(rule));
    const own = texts.filter((text) => !/^\{"rule":"self\.matches\('\^.*"message":"must be an? /.test(text));
    assert.equal(own.length, definition.rules.length);
  });

  test(`has a structural schema for the status of ${kind}`, () => assertStructural(definition.status));

  test(`shows ${kind} with columns of fields that exist`, () => {
    const version = named[kind]?.spec.versions[0];
    for (const { jsonPath } of version?.additionalPrinterColumns ?? []) {
      const [, ...steps] = jsonPath.replaceAll(/\[[^\]]*\]/g, '.*').split('.');
      if (steps[0] === 'metadata') continue;
      let node: ManifestNode | undefined = version?.schema.openAPIV3Schema;
      for (const step of steps) node = step === '*' ? node?.items : node?.properties?.[step];
      assert.ok(node, jsonPath);
    }
  });
}

const description = 'A thing.';
const thing = Fields({ word: FreeText(9, { description }), count: Integer(0, 9, { description }) }, { description });
const kindOf = (parts: Partial<Parameters<typeof validationsOf>[0]>): Parameters<typeof validationsOf>[0] => ({
  description,
  schema: Fields({ thing }, { description }),
  status: thing,
  rules: [],
  ...parts,
});
const only = (validations: Map<string, Validation[]>): unknown =>
  [...validations].map(([path, list]) => [path, ...list]);

test('puts the text in a message into an expression, and points at the field', () => {
  const rule = { path: 'spec.thing', field: 'word', rule: 'false', message: "{word} isn't one, is {word}" };
  assert.deepEqual(only(validationsOf(kindOf({ rules: [rule] }))), [
    [
      'spec.thing',
      {
        rule: 'false',
        message: "isn't one",
        messageExpression: `'"' + self.word + '"' + ' isn\\'t one, is ' + '"' + self.word + '"'`,
        fieldPath: '.word',
      },
    ],
  ]);
});

test('leaves numbers out of messages, because their text has no bound for the API server', () => {
  const rule = { path: 'spec.thing', rule: 'false', message: 'must exceed a ({count}) and b ({count}), is {count}' };
  assert.deepEqual(only(validationsOf(kindOf({ rules: [rule] }))), [
    ['spec.thing', { rule: 'false', message: 'must exceed a and b' }],
  ]);
});
