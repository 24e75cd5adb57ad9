/** The objects of the constructs, against a real kube-apiserver. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parseAllDocuments } from 'yaml';

import { bundles } from '../../infra/bundles.ts';
import { apiServerOrSkip, startApiServer } from '../kit/apiserver.ts';

interface Applied {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

const goldens = join(import.meta.dirname, '../infra/goldens');
const { 'operator.yaml': operator = '', 'demo.yaml': demo = '' } = bundles();
const cases: Readonly<Record<string, string>> = {
  operator,
  demo,
  ...Object.fromEntries(
    readdirSync(goldens)
      .filter((file) => file.endsWith('.out.yaml'))
      .map((file) => [file, readFileSync(join(goldens, file), 'utf8')]),
  ),
};

/** Kinds of software other than Kubernetes. */
const foreign = ['HTTPRoute', 'ServiceMonitor'];

/** The profile of PodSecurity that a namespace warns about. */
const strict = { 'pod-security.kubernetes.io/warn': 'restricted' };

function objectsOf(text: string): Applied[] {
  const objects = parseAllDocuments(text).map((document) => document.toJS() as Applied | null);
  return objects.filter((object) => object !== null).filter(({ kind }) => !foreign.includes(kind));
}

function pathOf({ apiVersion, kind, metadata }: Applied): string {
  const api = apiVersion.includes('/') ? `apis/${apiVersion}` : `api/${apiVersion}`;
  const plural = kind.endsWith('s') ? `${kind}es` : `${kind}s`.replace(/ys$/, 'ies');
  const scope = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `/${api}${scope}/${plural.toLowerCase()}/${metadata.name}`;
}

const skip = await apiServerOrSkip();

test('a cluster accepts every object without a warning, and a second apply changes nothing', { skip }, async () => {
  await using cluster = await startApiServer();
  const apply = (object: unknown, path: string) =>
    cluster.call('PATCH', `${path}?fieldManager=test&force=true&fieldValidation=Strict`, object, {
      'content-type': 'application/apply-patch+yaml',
    });
  for (const name of ['hydrogen-system', 'hydrogen-demo', 'shop']) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: strict } };
    assert.equal((await apply(namespace, `/api/v1/namespaces/${name}`)).status, 201);
  }
  for (const [name, text] of Object.entries(cases)) {
    for (const object of objectsOf(text)) {
      const where = `${name}: ${object.kind}/${object.metadata.name}`;
      const first = await apply(object, pathOf(object));
      assert.ok([200, 201].includes(first.status), `${where}: ${JSON.stringify(first.body).slice(0, 1000)}`);
      assert.deepEqual(first.warnings, [], where);
      const second = await apply(object, pathOf(object));
      assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion, where);
    }
    for (const object of objectsOf(text).filter(({ kind }) => kind !== 'Namespace')) {
      await cluster.call('DELETE', pathOf(object));
    }
  }
});
