import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parseAllDocuments } from 'yaml';

import { entryPoint } from '../../infra/image.ts';
import { HydrogenOperator } from '../../infra/index.ts';
import { watchRules } from '../../infra/operator-rbac.ts';
import type { Manifest } from '../../infra/yaml.ts';
import { at, find, identities, synth } from './kit.ts';

const folder = join(import.meta.dirname, 'goldens');
const rendered = readdirSync(folder)
  .filter((file) => file.endsWith('.out.yaml'))
  .flatMap((file) => parseAllDocuments(readFileSync(join(folder, file), 'utf8')))
  .map((document) => document.toJS() as Manifest | null)
  .filter((object) => object !== null);

function resourceOf({ apiVersion, kind }: Manifest): string {
  const group = String(apiVersion).includes('/') ? String(apiVersion).split('/')[0] : '';
  const plural = `${String(kind).toLowerCase()}s`.replace('ys', 'ies').replace('classs', 'classes');
  return `${group}/${kind === 'Ingress' ? 'ingresses' : plural}`;
}

test('may create, change and delete exactly the kinds that the constructs emit', () => {
  const allowed = watchRules
    .filter(({ verbs }) => verbs.includes('delete'))
    .flatMap(({ apiGroups = [], resources = [] }) => resources.map((resource) => `${apiGroups[0]}/${resource}`));
  assert.deepEqual(allowed.sort(), [...new Set(rendered.map(resourceOf))].sort());
});

test('reads secrets, writes none, leaves the right out on request, and never has wildcards', () => {
  const rulesOf = (readSecrets: boolean): string =>
    JSON.stringify(
      at(
        find(
          synth((chart) => new HydrogenOperator(chart, 'operator', { readSecrets })),
          'ClusterRole',
        ),
        'rules',
      ),
    );
  assert.match(rulesOf(true), /\{"apiGroups":\[""\],"resources":\["secrets"\],"verbs":\["get","list","watch"\]\}/);
  assert.doesNotMatch(rulesOf(false), /secrets/);
  assert.doesNotMatch(rulesOf(true), /"\*"/);
});

test('runs two pods, which share a lease in their own namespace', () => {
  const objects = synth((chart) => new HydrogenOperator(chart, 'operator'));
  assert.equal(at(find(objects, 'Deployment'), 'spec.replicas'), 2);
  assert.deepEqual(at(find(objects, 'Role'), 'rules'), [
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: ['hydrogen-operator'],
      verbs: ['get', 'update'],
    },
    { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
  ]);
  assert.equal(at(find(objects, 'Role'), 'metadata.namespace'), 'hydrogen-system');
});

test('has no rights outside the only namespace that it watches', () => {
  const objects = synth((chart) => new HydrogenOperator(chart, 'operator', { watchNamespace: 'shop' }));
  assert.ok(!identities(objects).some((identity) => identity.startsWith('Cluster')));
  assert.deepEqual(at(find(objects, 'Role', 'hydrogen-operator'), 'metadata.namespace'), 'shop');
  const subject = at(find(objects, 'RoleBinding', 'hydrogen-operator'), 'subjects[0].namespace');
  assert.equal(subject, 'hydrogen-system');
  assert.deepEqual(at(find(objects, 'Deployment'), 'spec.template.spec.containers[0].args'), [
    'operator',
    '--namespace',
    'shop',
  ]);
});

test('keeps cluster-scoped objects out of the namespace of its chart', () => {
  const objects = synth((chart) => new HydrogenOperator(chart, 'operator', { namespace: 'ops' }), 'chart', 'shop');
  for (const kind of ['Namespace', 'ClusterRole', 'ClusterRoleBinding']) {
    assert.equal(at(find(objects, kind), 'metadata.namespace'), undefined, kind);
  }
  assert.equal(at(find(objects, 'Deployment'), 'metadata.namespace'), 'ops');
});

test('starts with V8 flags for a process that rests, which this Node accepts', () => {
  const objects = synth((chart) => new HydrogenOperator(chart, 'operator'));
  const [container] = at(find(objects, 'Deployment'), 'spec.template.spec.containers') as [
    { command: string[]; args: string[]; env: { name: string }[] },
  ];
  const [program, ...rest] = container.command;
  const flags = rest.slice(0, -1);
  assert.deepEqual([program, rest.at(-1)], [entryPoint.program, entryPoint.script]);
  assert.equal(container.args[0], 'operator');
  assert.ok(['--expose-gc', '--no-opt', '--no-maglev'].every((flag) => flags.includes(flag)));
  assert.ok(!container.env.some(({ name }) => name === 'NODE_OPTIONS'));
  const script = 'process.stdout.write(JSON.stringify([process.execArgv.slice(0, -2), typeof gc]))';
  const seen = execFileSync(process.execPath, [...flags, '-e', script], { encoding: 'utf8' });
  assert.deepEqual(JSON.parse(seen), [flags, 'function']);
});
