/** Managed fields: whether an object still has what was applied to it. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { createFieldsOf, owns } from '../../../operator/kube/managed-fields.ts';
import { fieldManager, type KubeObject } from '../../../operator/kube/objects.ts';

const wanted: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'chat', labels: { app: 'chat' } },
  spec: { ports: [{ name: 'client', port: 80 }], type: 'ClusterIP', selector: {} },
};
const fields = {
  'f:metadata': { 'f:labels': { 'f:app': {} }, 'f:ownerReferences': { 'k:{"uid":"u"}': {} } },
  'f:spec': {
    'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:port': {} } },
    'f:type': {},
    'f:selector': {},
  },
};
const live = (fieldsV1: object, more: object = {}): KubeObject => ({
  ...wanted,
  metadata: { name: 'chat', managedFields: [{ manager: fieldManager, operation: 'Apply', fieldsV1, ...more }] },
});
const isInForce = (object: KubeObject): boolean => owns(wanted, createFieldsOf()(object));

test('an object whose applied fields are all ours still has what was applied', () => {
  assert.equal(isInForce(live(fields)), true);
});

test('a field that somebody else has taken over is noticed, wherever it is', () => {
  const { 'f:type': _, ...spec } = fields['f:spec'];
  assert.equal(isInForce(live({ ...fields, 'f:spec': spec })), false);
  assert.equal(isInForce(live({ 'f:spec': fields['f:spec'] })), false);
  assert.equal(isInForce(live({ ...fields, 'f:metadata': { 'f:labels': { 'f:other': {} } } })), false);
  const otherPort = { 'k:{"port":81,"protocol":"TCP"}': { 'f:name': {}, 'f:port': {} } };
  assert.equal(isInForce(live({ ...fields, 'f:spec': { ...fields['f:spec'], 'f:ports': otherPort } })), false);
});

test('a list or map that is owned as a whole covers everything in it', () => {
  const whole = { ...fields, 'f:metadata': { 'f:labels': {} }, 'f:spec': { ...fields['f:spec'], 'f:ports': {} } };
  assert.equal(isInForce(live(whole)), true);
});

test('fields from another operation, or of a subresource, do not count', () => {
  assert.equal(isInForce(live(fields, { operation: 'Update' })), false);
  assert.equal(isInForce(live(fields, { subresource: 'status' })), false);
  assert.equal(isInForce(live(fields, { manager: 'kubectl' })), false);
  assert.equal(isInForce({ ...wanted, metadata: { name: 'chat' } }), false);
});

test('equal sets of fields are kept once, even with different owners', () => {
  const fieldsOf = createFieldsOf();
  const other = { ...fields, 'f:metadata': { ...fields['f:metadata'], 'f:ownerReferences': { 'k:{"uid":"v"}': {} } } };
  assert.equal(fieldsOf(live(fields)), fieldsOf(live(other)));
  assert.notEqual(fieldsOf(live(fields)), fieldsOf(live({ 'f:spec': {} })));
});

test('items of a set are owned by their value', () => {
  const set: KubeObject = { ...wanted, spec: { set: ['a', 'b'] } };
  const accounts = (...items: string[]): object => ({
    ...fields,
    'f:spec': { 'f:set': Object.fromEntries(items.map((item) => [`v:${JSON.stringify(item)}`, {}])) },
  });
  const isOwned = (...items: string[]): boolean => owns(set, createFieldsOf()(live(accounts(...items))));
  assert.equal(isOwned('a', 'b', 'c'), true);
  assert.equal(isOwned('a', 'c'), false);
});

test('an item is found by its key, even if the server has filled in parts of it', () => {
  const containers = [{ name: 'gateway', env: [{ name: 'A', value: '1' }] }];
  const pod: KubeObject = { ...wanted, spec: { containers } };
  const accounts = (variable: object): object => ({
    ...fields,
    'f:spec': {
      'f:containers': {
        'k:{"name":"gateway"}': { '.': {}, 'f:name': {}, 'f:env': { 'k:{"name":"A"}': variable } },
      },
    },
  });
  const isOwned = (variable: object): boolean => owns(pod, createFieldsOf()(live(accounts(variable))));
  assert.equal(isOwned({ '.': {}, 'f:name': {}, 'f:value': {} }), true);
  assert.equal(isOwned({ '.': {}, 'f:name': {} }), false);
});
