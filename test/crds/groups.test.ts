import assert from 'node:assert/strict';
import test from 'node:test';

import { InvalidDocuments, parseDocuments, type Resource, resolveGroups } from '../../crds/index.ts';

function document(kind: string, metadata: string, spec: string): Resource[] {
  return parseDocuments(
    `{apiVersion: hydrogen.dev/v1alpha1, kind: ${kind}, metadata: {${metadata}}, spec: {${spec}}}`,
    'app.yaml',
  );
}

const group = (metadata: string): Resource[] => document('HydrogenGroup', metadata, 'nats: {servers: ["nats://nats"]}');
const gateway = (metadata: string, name: string): Resource[] =>
  document('HydrogenGateway', metadata, `groupRef: {name: ${name}}, endpoints: [{path: /a}]`);
const processor = (metadata: string, name: string): Resource[] =>
  document(
    'HydrogenMessageProcessor',
    metadata,
    `groupRef: {name: ${name}}, routing: {rules: [{name: a, pattern: a, destination: {url: "http://a"}}]}`,
  );

test('matches gateways and processors with the group in their namespace', () => {
  const resolved = resolveGroups([
    ...gateway('name: g', 'chat'),
    ...group('name: chat'),
    ...group('name: chat, namespace: other'),
    ...processor('name: p, namespace: other', 'chat'),
  ]);
  assert.equal(resolved.groups.length, 2);
  assert.deepEqual(
    resolved.gateways.map((joined) => [joined.gateway.metadata.name, joined.group.metadata.namespace]),
    [['g', 'default']],
  );
  assert.deepEqual(
    resolved.processors.map((joined) => [joined.processor.metadata.name, joined.group.metadata.namespace]),
    [['p', 'other']],
  );
});

test('names every object whose group is missing, and the known groups', () => {
  const resources = [
    ...group('name: chat'),
    ...gateway('name: g', 'chta'),
    ...processor('name: p, namespace: b', 'chat'),
  ];
  assert.throws(() => resolveGroups(resources), {
    name: 'InvalidDocuments',
    message: [
      'HydrogenGateway/g: spec.groupRef.name: there is no HydrogenGroup chta in namespace default; known groups: default/chat',
      'HydrogenMessageProcessor/p: spec.groupRef.name: there is no HydrogenGroup chat in namespace b; known groups: default/chat',
    ].join('\n'),
  });
});

test('reports that there are no groups at all', () => {
  assert.throws(() => resolveGroups(gateway('name: g', 'chat')), /known groups: none$/);
});

test('refuses an object that two sources contain', () => {
  const resources = [...group('name: chat'), ...group('name: chat')];
  assert.throws(() => resolveGroups(resources), InvalidDocuments);
});
