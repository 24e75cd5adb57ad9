/** The rights of users and of the operator, as a real API server with its controllers grants them. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { childTypes, optionalKinds } from '../../operator/kube/objects.ts';
import { apiServerOrSkip } from '../kit/apiserver.ts';
import { type ControlPlane, startControlPlane } from '../kit/control-plane.ts';
import { gatewayDocument, groupDocument, processorDocument } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';

const skip = await apiServerOrSkip();
const patiently = { timeoutMs: 30_000, everyMs: 100 };
const install = join(import.meta.dirname, '../../dist/install.yaml');
const operator = 'system:serviceaccount:hydrogen-system:hydrogen-operator';
/** Users by the role that they have in the namespace shop. */
const users = { view: 'viewer', edit: 'editor', admin: 'owner' };
const kinds = ['hydrogengroups', 'hydrogengateways', 'hydrogenmessageprocessors'];

let cluster: ControlPlane;
before(async () => {
  if (skip !== false) return;
  cluster = await startControlPlane({ manifests: [install] });
  await cluster.kubectl(['create', 'namespace', 'shop']);
  for (const [role, user] of Object.entries(users)) {
    await cluster.kubectl(['-n', 'shop', 'create', 'rolebinding', role, `--clusterrole=${role}`, `--user=${user}`]);
  }
  // The controller adds the rules to the cluster's roles one after another.
  for (const [user, verb] of Object.entries({ viewer: 'list', editor: 'create', owner: 'create' })) {
    await eventually(() => may(user, verb, 'hydrogen.dev/hydrogengateways'), patiently);
  }
});
after(() => cluster?.[Symbol.asyncDispose]());

interface Where {
  /** @default shop */
  readonly namespace?: string;
  readonly name?: string;
}

/** What a SubjectAccessReview says. @param target `<group>/<resource>` or `<group>/<resource>/<subresource>` */
async function may(
  user: string,
  verb: string,
  target: string,
  { namespace = 'shop', name }: Where = {},
): Promise<boolean> {
  const [group, resource, subresource] = target.split('/');
  const resourceAttributes = { group, resource, subresource, verb, namespace, name };
  const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview' };
  const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
  const { status, body } = await cluster.call('POST', path, { ...review, spec: { user, resourceAttributes } });
  assert.equal(status, 201, JSON.stringify(body));
  return body.status.allowed === true;
}

async function allowedVerbs(user: string, target: string, where?: Where): Promise<string[]> {
  const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
  const answers = await Promise.all(verbs.map((verb) => may(user, verb, target, where)));
  return verbs.filter((_, index) => answers[index]);
}

const reading = ['get', 'list', 'watch'];
const writing = ['create', 'update', 'patch', 'delete', 'deletecollection'];

test("the cluster's roles view, edit and admin have the rights on custom resources that they have on workloads", {
  skip,
}, async () => {
  for (const kind of kinds) {
    const target = `hydrogen.dev/${kind}`;
    assert.deepEqual(await allowedVerbs('viewer', target), reading, kind);
    for (const user of ['editor', 'owner']) {
      assert.deepEqual(await allowedVerbs(user, target), [...reading, ...writing], `${user} ${kind}`);
      assert.deepEqual(await allowedVerbs(user, `${target}/status`), reading, `${user} ${kind}`);
      assert.deepEqual(await allowedVerbs(user, `${target}/finalizers`), [], `${user} ${kind}`);
    }
    assert.deepEqual(await allowedVerbs('stranger', target), [], kind);
    assert.deepEqual(await allowedVerbs('editor', target, { namespace: 'default' }), [], kind);
  }
  const scale = 'hydrogen.dev/hydrogengateways/scale';
  assert.deepEqual(await allowedVerbs('viewer', scale), reading);
  assert.deepEqual(await allowedVerbs('editor', scale), [...reading, 'update', 'patch']);
});

test('kubectl as one of these users applies, scales and reads, or is refused', { skip }, async () => {
  const as = (user: string, args: readonly string[], input?: object): Promise<string> =>
    cluster.kubectl(['-n', 'shop', `--as=${user}`, ...args], input === undefined ? {} : { input });
  const items = [groupDocument(), gatewayDocument(), processorDocument()];
  const documents = { apiVersion: 'v1', kind: 'List', items };
  await assert.rejects(as('viewer', ['apply', '-f', '-'], documents), /cannot create resource "hydrogengroups"/);
  await as('editor', ['apply', '-f', '-'], documents);
  await as('editor', ['scale', 'hgw/chat', '--replicas=3']);
  assert.equal(await as('viewer', ['get', 'hgw/chat', '-o', 'jsonpath={.spec.replicas}']), '3');
  await assert.rejects(as('viewer', ['scale', 'hgw/chat', '--replicas=1']), /cannot (patch|update) resource/);
  const status = ['patch', 'hgw/chat', '--subresource=status', '--type=merge', '-p', '{"status":{"replicas":1}}'];
  await assert.rejects(as('editor', status), /cannot patch resource "hydrogengateways\/status"/);
  await as('owner', ['delete', 'hmp,hgw,hgrp', '--all', '--wait=false']);
});

test('whoever may edit could create the children of the custom resources by hand, except for routes', {
  skip,
}, async () => {
  for (const { apiVersion, kind, plural } of childTypes) {
    const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
    assert.equal(await may('editor', 'create', `${group}/${plural}`), !optionalKinds.includes(kind), kind);
  }
  for (const resource of ['pods', 'secrets']) assert.ok(await may('editor', 'create', `/${resource}`), resource);
});

test('the operator writes to a custom resource only its status and its finalizers', { skip }, async () => {
  const writes = async (target: string): Promise<string[]> =>
    (await allowedVerbs(operator, target)).filter((verb) => writing.includes(verb));
  assert.deepEqual(await writes('hydrogen.dev/hydrogengroups'), ['patch']);
  assert.deepEqual(await writes('hydrogen.dev/hydrogenmessageprocessors'), ['patch']);
  assert.deepEqual(await writes('hydrogen.dev/hydrogengateways'), []);
  for (const kind of kinds) assert.deepEqual(await writes(`hydrogen.dev/${kind}/status`), ['patch'], kind);
});

test('the operator reads and renews its own lease alone, and no pod outside of its namespace', { skip }, async () => {
  const leases = 'coordination.k8s.io/leases';
  const verbsOn = (name: string, namespace = 'hydrogen-system'): Promise<string[]> =>
    allowedVerbs(operator, leases, { namespace, name });
  assert.deepEqual(await verbsOn('hydrogen-operator'), ['get', 'create', 'update']);
  assert.deepEqual(await verbsOn('another'), ['create']);
  assert.deepEqual(await verbsOn('hydrogen-operator', 'shop'), []);
  assert.deepEqual(await allowedVerbs(operator, '/pods', { namespace: 'hydrogen-system' }), ['get']);
  assert.deepEqual(await allowedVerbs(operator, '/pods'), []);
});

test('the operator has no right that leads to further rights', { skip }, async () => {
  const forbidden = [
    ...['/serviceaccounts', '/serviceaccounts/token', '/pods/exec', '/nodes'],
    ...['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'].map(
      (resource) => `rbac.authorization.k8s.io/${resource}`,
    ),
    'admissionregistration.k8s.io/validatingadmissionpolicies',
    'apiextensions.k8s.io/customresourcedefinitions',
  ];
  for (const target of forbidden) assert.deepEqual(await allowedVerbs(operator, target), [], target);
  assert.ok(!(await may(operator, 'impersonate', '/users')));
  assert.deepEqual(await allowedVerbs(operator, '/secrets'), reading);
  assert.deepEqual(await allowedVerbs(operator, '/namespaces'), ['get']);
});

test('with the sample policy, the operator writes only what a custom resource controls', { skip }, async () => {
  const file = join(import.meta.dirname, '../../examples/policies/operator.yaml');
  await cluster.kubectl(['apply', '-f', file]);
  const as = (args: readonly string[], input?: object, user = operator): Promise<string> =>
    cluster.kubectl(['-n', 'shop', `--as=${user}`, ...args], input === undefined ? {} : { input });
  const configMap = (name: string, fields: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, ...fields },
  });
  const create = ['create', '-f', '-'];
  const withoutOwner = /must be controlled by a custom resource of hydrogen\.dev/;
  const probe = (): Promise<string> => as([...create, '--dry-run=server'], configMap('probe')).catch(String);
  await eventually(async () => withoutOwner.test(await probe()), patiently);

  await cluster.kubectl(['-n', 'shop', ...create], { input: groupDocument({}, { name: 'owner' }) });
  const uid = await cluster.kubectl(['-n', 'shop', 'get', 'hgrp/owner', '-o', 'jsonpath={.metadata.uid}']);
  const owner = { apiVersion: 'hydrogen.dev/v1alpha1', kind: 'HydrogenGroup', name: 'owner', uid, controller: true };
  const ours = { ownerReferences: [owner] };
  await as(create, configMap('ours', ours));
  await as(['label', 'configmap/ours', 'a=b']);
  await assert.rejects(
    as(['patch', 'configmap/ours', '--type=merge', '-p', '{"metadata":{"ownerReferences":null}}']),
    withoutOwner,
  );
  await as(['delete', 'configmap/ours']);

  const foreign = /changes and deletes only what a custom resource of hydrogen\.dev controls/;
  await as(create, configMap('theirs'), 'owner');
  const take = ['--type=merge', '-p', JSON.stringify({ metadata: ours })];
  await assert.rejects(as(['patch', 'configmap/theirs', ...take]), foreign);
  await assert.rejects(as(['delete', 'configmap/theirs']), foreign);
  await as(['delete', 'configmap/theirs'], undefined, 'owner');

  // What --cascade=orphan has left behind can be taken over again.
  await as(create, configMap('orphan', { labels: { 'app.kubernetes.io/managed-by': 'hydrogen' } }), 'owner');
  await as(['patch', 'configmap/orphan', ...take]);
});
