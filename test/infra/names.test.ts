import assert from 'node:assert/strict';
import test from 'node:test';

import { InvalidDocuments } from '../../crds/index.ts';
import { documents, nameOf, renderYaml } from './kit.ts';

const rules = 'routing: {rules: [{name: all, pattern: ".*", destination: {url: "http://messages/"}}]}';
const everything = { gateway: 'autoscaling: {maxReplicas: 3}\ningress: {hosts: [a.example.com]}', processor: rules };

test('derives names that fit into a label from the longest name of an object', () => {
  const objects = renderYaml(documents({ name: 'a'.repeat(52), ...everything }));
  assert.equal(Math.max(...objects.map((object) => nameOf(object).length)), 63);
});

test('refuses the name of a group that leaves no room for its NATS servers', () => {
  const group = 'nats: {managed: {}}';
  renderYaml(documents({ name: 'a'.repeat(47), group }));
  assert.throws(
    () => renderYaml(documents({ name: 'a'.repeat(48), group })),
    new InvalidDocuments([
      {
        object: `HydrogenGroup/${'a'.repeat(48)}`,
        path: 'metadata.name',
        message: 'must have at most 47 characters, so that names derived from it fit into 63, has 48',
      },
    ]),
  );
});

test('never gives two objects of a kind the same name, even when their owners share one', () => {
  const objects = renderYaml(documents({ group: 'nats: {managed: {}}', ...everything }));
  const identities = objects.map((object) => `${object.kind}/${nameOf(object)}`);
  assert.equal(new Set(identities).size, identities.length);
});
