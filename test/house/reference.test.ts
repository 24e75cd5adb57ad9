import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { kinds } from '../../crds/kinds.ts';
import { type Node, nodeOf } from '../../crds/schema.ts';
import { reference, referencePath } from '../../tools/reference.ts';

const root = new URL('../../', import.meta.url);

test('docs/reference.md is generated from the schemas; `npm run reference` rewrites it', () => {
  assert.equal(readFileSync(new URL(referencePath, root), 'utf8'), reference());
});

test('the reference has every field of every kind, and every rule', () => {
  const text = reference();
  for (const { schema, status, rules } of Object.values(kinds)) {
    for (const name of [...fieldsIn(nodeOf(schema)), ...fieldsIn(nodeOf(status))]) {
      assert.match(text, new RegExp(`^\\| \`([^\`]*[.])?${name}\` \\|`, 'm'));
    }
    for (const { message, path } of rules.filter((rule) => rule.path !== '')) {
      const [beginning = ''] = message.replace(/^\{\w+\} /, '').split(/ \(|, is \{/);
      assert.ok(text.includes(beginning), `${path}: ${beginning}`);
    }
  }
});

function fieldsIn(node: Node): string[] {
  const inner = [...Object.values(node.properties ?? {}), node.items, node.additionalProperties];
  return [...Object.keys(node.properties ?? {}), ...inner.flatMap((field) => (field ? fieldsIn(field) : []))];
}
