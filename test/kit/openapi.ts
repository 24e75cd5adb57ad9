/**
 * The OpenAPI schemas that Kubernetes publishes with each release, from its Go module, and a strict check against them:
 * what a server with field validation Strict would refuse for its shape.
 */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cache = join(import.meta.dirname, '../../.cache/openapi');

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly 'x-kubernetes-group-version-kind'?: readonly { group: string; version: string; kind: string }[];
}

export interface OpenApi {
  /** Whether the release has this kind at all. */
  has(apiVersion: string, kind: string): boolean;
  /** Every problem of the object with its path; none: the release takes its shape. */
  check(object: Readonly<Record<string, unknown>>): string[];
}

/** @param version such as `v1.34.4`. @throws when it is neither in the cache nor to be had by `go mod download` */
export async function loadOpenApi(version: string): Promise<OpenApi> {
  const file = join(cache, `${version}.json`);
  const text = await readFile(file, 'utf8').catch(() => download(version, file));
  const { definitions } = JSON.parse(text) as { definitions: Readonly<Record<string, Schema>> };
  const byKind = new Map<string, Schema>();
  for (const schema of Object.values(definitions)) {
    for (const { group, version: apiVersion, kind } of schema['x-kubernetes-group-version-kind'] ?? []) {
      byKind.set(`${group === '' ? apiVersion : `${group}/${apiVersion}`} ${kind}`, schema);
    }
  }
  const schemaOf = ({ apiVersion, kind }: Readonly<Record<string, unknown>>): Schema | undefined =>
    byKind.get(`${apiVersion} ${kind}`);
  return {
    has: (apiVersion, kind) => schemaOf({ apiVersion, kind }) !== undefined,
    check: (object) => {
      const schema = schemaOf(object);
      return schema === undefined ? ['unknown kind'] : checkValue(definitions, schema, object, '');
    },
  };
}

async function download(version: string, file: string): Promise<string> {
  process.stderr.write(`openapi ${version}: go mod download k8s.io/kubernetes (15 MB, once)\n`);
  const modules = await mkdtemp(join(tmpdir(), 'hydrogen-openapi-'));
  try {
    const env = { ...process.env, GOMODCACHE: modules, GOFLAGS: '-modcacherw' };
    const options = { env, cwd: modules, timeout: 120_000 };
    const { stdout } = await run('go', ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`], options);
    const { Dir } = JSON.parse(stdout) as { Dir: string };
    const text = await readFile(join(Dir, 'api/openapi-spec/swagger.json'), 'utf8');
    await mkdir(cache, { recursive: true });
    await writeFile(`${file}.${process.pid}`, text);
    await rename(`${file}.${process.pid}`, file);
    return text;
  } finally {
    await rm(modules, { recursive: true, force: true });
  }
}

function checkValue(
  definitions: Readonly<Record<string, Schema>>,
  schema: Schema,
  value: unknown,
  path: string,
): string[] {
  const here = (next: Schema, inner: unknown, place: string): string[] => checkValue(definitions, next, inner, place);
  if (schema.$ref !== undefined) {
    const name = schema.$ref.slice('#/definitions/'.length);
    const target = definitions[name];
    if (target === undefined) return [`${path}: no schema ${name}`];
    // The two types that are written as text or number.
    if (/\.(Quantity|IntOrString)$/.test(name))
      return /string|number/.test(typeof value) ? [] : [`${path}: a quantity`];
    return here(target, value, path);
  }
  if (schema.type === 'array') {
    if (!Array.isArray(value)) return [`${path}: must be a list`];
    return value.flatMap((item, index) => here(schema.items ?? {}, item, `${path}[${index}]`));
  }
  if (schema.type === 'object' || schema.properties !== undefined) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path}: must be an object`];
    const { properties, additionalProperties, required = [] } = schema;
    if (properties === undefined && additionalProperties === undefined) return [];
    const missing = required.filter((name) => !(name in value)).map((name) => `${path}.${name}: required`);
    return missing.concat(
      Object.entries(value).flatMap(([name, inner]) => {
        const next = properties?.[name] ?? additionalProperties;
        return next === undefined ? [`${path}.${name}: unknown field`] : here(next, inner, `${path}.${name}`);
      }),
    );
  }
  if (schema.type === undefined) return [];
  const isRight = schema.type === 'integer' ? Number.isInteger(value) : typeof value === schema.type;
  return isRight ? [] : [`${path}: must be of type ${schema.type}, is ${JSON.stringify(value)}`];
}
