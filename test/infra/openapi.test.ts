/** Everything that is emitted, against the schemas that each supported Kubernetes release publishes. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { parseAllDocuments } from 'yaml';
import { loadOpenApi, type OpenApi } from '../kit/openapi.ts';

/** The newest patch of each minor release, from the oldest supported one. */
const versions = [
  'v1.28.15',
  'v1.29.6',
  'v1.30.14',
  'v1.31.14',
  'v1.32.13',
  'v1.33.13',
  'v1.34.4',
  'v1.35.4',
  'v1.36.3',
  'v1.37.2',
];

const root = new URL('../..', import.meta.url).pathname;
const files = [
  ...['crds.yaml', 'operator.yaml', 'install.yaml', 'demo.yaml'].map((name) => `${root}dist/${name}`),
  ...readdirSync(`${root}test/infra/goldens`)
    .filter((name) => name.endsWith('.out.yaml'))
    .map((name) => `${root}test/infra/goldens/${name}`),
];
const objects = files.flatMap((file) =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((document) => ({
    file: file.slice(root.length),
    object: document.toJS() as Record<string, unknown>,
  })),
);

/** Kinds of the Gateway API and of the Prometheus operator: no release of Kubernetes publishes them. */
const foreign = /^(gateway\.networking\.k8s\.io|monitoring\.coreos\.com)\//;

/** Kinds of releases that run the operator; the schemas of older ones are checked for what needs no operator. */
const since: Readonly<Record<string, number>> = {
  ValidatingAdmissionPolicy: 30,
  ValidatingAdmissionPolicyBinding: 30,
};

async function schemasOf(version: string): Promise<OpenApi | string> {
  try {
    return await loadOpenApi(version);
  } catch (error) {
    if (process.env.CI) throw error;
    return `the schemas of ${version} cannot be had: ${(error as Error).message}`;
  }
}

test('there is something to check', () => {
  assert.ok(objects.length > 100, `${objects.length} objects`);
});

for (const version of versions) {
  test(`Kubernetes ${version} knows every field of everything in dist/ and the goldens`, async (t) => {
    const schemas = await schemasOf(version);
    if (typeof schemas === 'string') {
      t.skip(schemas);
      return;
    }
    const problems = objects
      .filter(({ object }) => !foreign.test(String(object.apiVersion)))
      .filter(({ object }) => Number(version.split('.')[1]) >= (since[String(object.kind)] ?? 0))
      .flatMap(({ file, object }) => schemas.check(object).map((problem) => `${file} ${object.kind}${problem}`));
    assert.deepEqual([...new Set(problems)], []);
    const broken = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'x' },
      spec: { prots: [], ports: [{ port: 'x' }] },
    };
    assert.deepEqual(schemas.check(broken), [
      '.spec.prots: unknown field',
      '.spec.ports[0].port: must be of type integer, is "x"',
    ]);
  });
}
