/** The definitions on a real API server: it must accept them, and check documents as `parse` does. */
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { parse as parseYaml } from 'yaml';

import { parse } from '../../crds/index.ts';
import { kinds } from '../../crds/kinds.ts';
import { customResourceDefinitions } from '../../crds/manifest.ts';
import { validationsOf } from '../../crds/manifest-validations.ts';
import { type Case, invalidCases, validCases } from '../crds/cases.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import type { ApiAnswer } from '../kit/apiserver-client.ts';
import { eventually } from '../kit/eventually.ts';
import { definitionsPath, pathOf, startCluster } from './kit.ts';

const skip = await apiServerOrSkip();
let cluster: TestApiServer;

before(async () => {
  if (skip === false) cluster = await startCluster();
});
after(() => cluster?.[Symbol.asyncDispose]());

/** The server's answer to a document, in a dry run. */
function tryCreate(document: unknown, validation: 'Strict' | 'Ignore' = 'Strict'): Promise<ApiAnswer> {
  const { kind } = Object(document) as { kind?: unknown };
  const path = pathOf(typeof kind === 'string' ? kind : 'HydrogenGroup');
  return cluster.call('POST', `${path}?dryRun=All&fieldValidation=${validation}`, document);
}

test('applies the definitions a second time without a change or a warning', { skip }, async () => {
  for (const definition of customResourceDefinitions()) {
    const path = `${definitionsPath}/${definition.metadata.name}`;
    const before = await cluster.get(path);
    const { status, body, warnings } = await cluster.apply(path, definition);
    assert.deepEqual([status, warnings], [200, []]);
    assert.equal(body.metadata.resourceVersion, before.metadata.resourceVersion);
    const established = body.status.conditions.filter((condition: { status: string }) => condition.status === 'True');
    assert.deepEqual(established.map(({ type }: { type: string }) => type).sort(), ['Established', 'NamesAccepted']);
  }
});

for (const { title, yaml } of validCases) {
  test(`accepts ${title}, with the defaults of parse`, { skip }, async () => {
    const document: unknown = parseYaml(yaml);
    const { status, body } = await tryCreate(document);
    assert.equal(status, 201, JSON.stringify(body));
    const result = parse(document);
    assert.ok(result.ok);
    assert.deepEqual(body.spec, result.resource.spec);
  });
}

for (const { title, yaml, issues, isServerLenient = false } of invalidCases) {
  test(`refuses ${title} for the same reasons as parse`, { skip }, async () => {
    const document: unknown = parseYaml(yaml);
    const { status, body } = await tryCreate(document);
    assert.ok(status >= 400 && status < 500, `${status} ${JSON.stringify(body)}`);
    note(String(Object(document).kind), body);
    for (const place of placesOf(body)) {
      assert.ok(
        issues.some((issue) => plain(issue).startsWith(place)),
        `the server calls ${place} wrong, parse does not`,
      );
    }
    assert.equal((await tryCreate(document, 'Ignore')).status, isServerLenient ? 201 : status);
  });
}

test('says in words what a URL must be, and shows no long pattern', { skip }, async () => {
  const spec = { nats: { servers: ['http://nats'] } };
  const document = { apiVersion: 'hydrogen.dev/v1alpha1', kind: 'HydrogenGroup', metadata: { name: 'chat' }, spec };
  const { body } = await tryCreate(document);
  assert.match(body.message, /spec\.nats\.servers\[0\]: Invalid value: .*must be a nats:\/\/, tls:\/\/ or ws:\/\/ URL/);
  assert.ok(body.message.length < 250, body.message);
});

test('breaks every rule with some document', { skip }, () => {
  const places = Object.entries(kinds).flatMap(([kind, definition]) =>
    [...validationsOf(definition)].flatMap(([path, validations]) =>
      validations.map(({ rule, message, fieldPath = '' }) => ({
        rule,
        name: `${kind} ${path}${fieldPath}: ${message}`,
      })),
    ),
  );
  // A rule in several places is listed once. One that CEL cannot express is `true`.
  const rules = Object.entries(Object.groupBy(places, ({ rule }) => rule));
  const unmet = rules.filter(
    ([rule, list = []]) => rule !== 'true' && !rule.includes('oldSelf') && !list.some(({ name }) => met.has(name)),
  );
  assert.deepEqual(Object.fromEntries(unmet), {});
});

/** The rules that the server has reported, as `kind path: message`. */
const met = new Set<string>();

function note(kind: string, answer: ApiAnswer['body']): void {
  for (const { field = '', message = '' } of answer?.details?.causes ?? []) {
    const path = plain(field)
      .replaceAll(/\[\d+\]/g, '[*]')
      .replace('<nil>', '');
    const said = ruleIn(message).replace(/^"[^"]*" /, '');
    met.add(`${kind} ${path}: ${said}`);
  }
}

/**
 * The message of a rule. Servers before 1.36 put the type of the value in front, or the value itself; an error of the
 * rule comes before its message.
 */
function ruleIn(message: string): string {
  return message.replace(/^(Invalid value: ("[^"]*": )?|Forbidden: )/, '').replace(/^error .* evaluating rule: /, '');
}

/** The fields that an answer reports; a problem of the whole object has no field. */
function placesOf(answer: ApiAnswer['body']): string[] {
  const causes: readonly { field?: string }[] = answer?.details?.causes ?? [];
  return causes.map(({ field = '' }) => plain(field)).filter((field) => field !== '<nil>');
}

/** A path in one notation: the server has no quotes around map keys, and a dot before some. */
function plain(path: string): string {
  return path.replace(/^\./, '').replaceAll(/\["([^"]*)"\]/g, '.$1');
}

const gateway: Case | undefined = validCases.find(({ title }) => title === 'a gateway with nothing but endpoints');

async function create(kind: string, name: string, yaml: string | undefined): Promise<void> {
  const document = parseYaml(yaml ?? '') as { metadata: { name: string } };
  document.metadata.name = name;
  const { status, body } = await cluster.call('POST', pathOf(kind), document);
  assert.equal(status, 201, JSON.stringify(body));
}

const merge = (path: string, patch: unknown): Promise<ApiAnswer> =>
  cluster.call('PATCH', path, patch, { 'content-type': 'application/merge-patch+json' });

test('refuses to move an object to another group', { skip }, async () => {
  await create('HydrogenGateway', 'stays', gateway?.yaml);
  const { status, body } = await merge(pathOf('HydrogenGateway', 'stays'), { spec: { groupRef: { name: 'other' } } });
  assert.equal(status, 422);
  assert.match(body.message, /spec\.groupRef: .*cannot be changed; delete the object/);
  assert.equal((await merge(pathOf('HydrogenGateway', 'stays'), { spec: { statsIntervalSeconds: 5 } })).status, 200);
});

test('refuses to change the storage of a stream', { skip }, async () => {
  await create('HydrogenGroup', 'stays', validCases[0]?.yaml);
  const path = pathOf('HydrogenGroup', 'stays');
  const { status, body } = await merge(path, { spec: { stream: { storage: 'Memory' } } });
  assert.equal(status, 422);
  assert.match(body.message, /spec\.stream\.storage: .*cannot be changed, because NATS cannot move a stream/);
  assert.equal((await merge(path, { spec: { stream: { maxBytes: '2Gi' } } })).status, 200);
});

test('names the value that a message is about', { skip }, async () => {
  const [reserved] = invalidCases.filter(({ title }) => title === 'the reserved header Host');
  const { body } = await tryCreate(parseYaml(reserved?.yaml ?? ''));
  const { field, message } = body.details.causes[0];
  assert.equal(`${field}: ${ruleIn(message)}`, reserved?.issues[0]);
});

test('scales a gateway through its scale subresource, with a selector for an autoscaler', { skip }, async () => {
  await create('HydrogenGateway', 'scales', gateway?.yaml);
  const path = pathOf('HydrogenGateway', 'scales');
  const scale = await cluster.get(`${path}/scale`);
  assert.equal(scale.spec.replicas, 1);
  const grown = await merge(`${path}/scale`, { spec: { replicas: 3 } });
  assert.equal(grown.status, 200);
  assert.equal((await cluster.get(path)).spec.replicas, 3);
  await merge(`${path}/status`, { status: { replicas: 2, selector: 'a=b' } });
  assert.deepEqual((await cluster.get(`${path}/scale`)).status, { replicas: 2, selector: 'a=b' });
});

test('keeps status apart from spec, and the conditions of two writers apart', { skip }, async () => {
  await create('HydrogenGateway', 'reports', gateway?.yaml);
  const path = pathOf('HydrogenGateway', 'reports');
  const { generation } = (await cluster.get(path)).metadata;
  const report = (type: string, status: string): Promise<ApiAnswer> => {
    const condition = { type, status, reason: 'Seen', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' };
    const metadata = { name: 'reports', namespace: 'default' };
    const object = { apiVersion: 'hydrogen.dev/v1alpha1', kind: 'HydrogenGateway', metadata };
    return cluster.apply(`${path}/status`, { ...object, status: { conditions: [condition] } }, `manager-of-${type}`);
  };
  assert.equal((await report('Ready', 'True')).status, 200);
  assert.equal((await report('Seen', 'False')).status, 200);
  assert.equal((await report('Bad', 'Perhaps')).status, 422);
  const { metadata, status } = await cluster.get(path);
  assert.deepEqual(
    status.conditions.map(({ type }: { type: string }) => type),
    ['Ready', 'Seen'],
  );
  assert.equal(metadata.generation, generation);
  await merge(path, { status: { replicas: 9 } });
  assert.equal((await cluster.get(path)).status.replicas, undefined);
});

test('prints a row with the most important columns', { skip }, async () => {
  await create('HydrogenGateway', 'printed', gateway?.yaml);
  const path = pathOf('HydrogenGateway', 'printed');
  const table = await cluster.call('GET', path, undefined, { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' });
  const columns: readonly { name: string; priority: number }[] = table.body.columnDefinitions;
  const shown = columns.flatMap(({ name, priority }, index) =>
    priority === 0 ? [[name, table.body.rows[0].cells[index]]] : [],
  );
  assert.deepEqual(Object.fromEntries(shown), {
    Name: 'printed',
    Ready: null,
    Group: 'chat',
    Replicas: null,
    Available: null,
    URL: null,
    Age: '0s',
  });
});

test('has a description for every field', { skip }, async () => {
  const silent: string[] = [];
  const listen = (node: ApiAnswer['body'], path: string): void => {
    for (const [name, field] of Object.entries<ApiAnswer['body']>(node?.properties ?? {})) {
      if (!field.description) silent.push(`${path}.${name}`);
      listen(field, `${path}.${name}`);
      listen(field.items, `${path}.${name}[*]`);
    }
  };
  for (const { spec } of customResourceDefinitions()) {
    const { properties } = await explanationOf(`dev.hydrogen.v1alpha1.${spec.names.kind}`);
    assert.ok(properties.spec.properties.paused.description);
    listen(properties.spec, `${spec.names.kind}.spec`);
    listen(properties.status, `${spec.names.kind}.status`);
  }
  assert.deepEqual(silent, []);
});

/** The schema that kubectl explain reads. */
async function explanationOf(schema: string): Promise<ApiAnswer['body']> {
  return eventually(async () => {
    const { components } = await cluster.get('/openapi/v3/apis/hydrogen.dev/v1alpha1');
    return components?.schemas[schema] ?? false;
  });
}
