import assert from 'node:assert/strict';
import test from 'node:test';

import { kinds } from '../../crds/index.ts';
import { type Node, nodeOf } from '../../crds/schema.ts';
import { secretRefsIn } from '../../crds/secret-refs.ts';

test('finds references at any depth, in lists as well', () => {
  const spec = {
    nats: { tokenSecretRef: { name: 'nats', key: 'token' } },
    headers: [
      { name: 'a', valueFrom: { secretKeyRef: { name: 'auth', key: 'a' } } },
      { name: 'b', value: 'b' },
    ],
  };
  assert.deepEqual(secretRefsIn([spec, undefined]), [
    { name: 'nats', key: 'token' },
    { name: 'auth', key: 'a' },
  ]);
});

test('every field that refers to a secret has a name by which it is found', () => {
  const places = Object.values(kinds).flatMap(({ schema }) => secretFields(nodeOf(schema), ''));
  assert.ok(places.length > 10, places.join());
  for (const place of places) assert.match(place, /secretKeyRef$|[sS]ecretRefs?$/);
});

/** The paths of the fields below `node` that refer to a key of a secret, by their shape. */
function secretFields({ properties = {}, items }: Node, path: string): string[] {
  if (Object.keys(properties).join() === 'name,key') return [path];
  const fields = Object.entries(properties).flatMap(([name, field]) => secretFields(field, `${path}.${name}`));
  return items ? [...fields, ...secretFields(items, path)] : fields;
}
