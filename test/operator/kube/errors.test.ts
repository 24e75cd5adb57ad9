/** How answers of the API server are classified. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { ApiError } from '../../../operator/kube/errors.ts';

for (const [status, message, kind] of [
  [404, 'not found', 'gone'],
  [410, 'too old resource version', 'gone'],
  [409, 'the object has been modified', 'conflict'],
  [422, 'spec.ports: Required value', 'refused'],
  [403, 'deployments.apps is forbidden: User "o" cannot patch resource "deployments" in API group "apps"', 'forbidden'],
  [403, 'services "chat-gateway" is forbidden: exceeded quota: small, requested: services=1, used: 5', 'refused'],
  [403, 'admission webhook "policy.example.com" denied the request: no', 'refused'],
  [403, 'configmaps "a" is forbidden: status unknown for quota: small, resources: count/configmaps', 'refused'],
  [403, "ValidatingAdmissionPolicy 'images' with binding 'images' denied request: no", 'refused'],
  [
    403,
    'services "a" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can\'t set finalizers on: , <nil>',
    'forbidden',
  ],
  [401, 'Unauthorized', 'transient'],
  [
    403,
    'configmaps "a" is forbidden: unable to create new content in namespace b because it is being terminated',
    'transient',
  ],
  [401, 'Unauthorized', 'transient'],
  [429, 'too many requests', 'transient'],
  [500, 'etcdserver: leader changed', 'transient'],
  [500, 'failed to create typed patch object: field not declared in schema', 'refused'],
  [0, 'connect ECONNREFUSED', 'transient'],
] as const) {
  test(`${status} "${message.slice(0, 60)}" is ${kind}`, () => {
    assert.equal(new ApiError(status, message).kind, kind);
  });
}
