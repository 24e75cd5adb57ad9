/** A lint for structural schemas: finds, without an API server, what an API server would refuse in a schema. */
import type { TSchema } from 'typebox';

import type { Issue } from '../../crds/invalid.ts';
import { join } from '../../crds/path.ts';
import { resolve } from '../../crds/resolve.ts';
import { type Node, nodeOf } from '../../crds/schema.ts';

const common = ['type', 'description', 'default'];

/** The keywords that a node of each type may have. */
const keywords: Readonly<Record<string, readonly string[]>> = {
  object: [
    ...common,
    'properties',
    'required',
    'additionalProperties',
    'minProperties',
    'maxProperties',
    'x-kubernetes-preserve-unknown-fields',
    'x-kubernetes-map-type',
  ],
  array: [...common, 'items', 'minItems', 'maxItems', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys'],
  string: [...common, 'enum', 'pattern', 'format', 'minLength', 'maxLength'],
  integer: [...common, 'minimum', 'maximum'],
  boolean: common,
};

const intOrString = [
  ...['description', 'default', 'anyOf', 'pattern', 'maxLength', 'minimum', 'maximum'],
  'x-kubernetes-int-or-string',
];
const onlyIntOrString = JSON.stringify([{ type: 'integer' }, { type: 'string' }]);

/** Regular-expression syntax that RE2, which the API server uses, does not have: look-around and back-references. */
const notRe2 = /\(\?[=!<]|\\[1-9]/;

/**
 * Refuses a schema that a CRD cannot have.
 * @throws TypeError that names every place and its problem.
 */
export function assertStructural(schema: TSchema): void {
  const issues = lint(nodeOf(schema), '', true);
  if (issues.length === 0) return;
  throw new TypeError(issues.map(({ path, message }) => `${path || 'schema'}: ${message}`).join('\n'));
}

function lint(node: Node, path: string, isField: boolean): Issue[] {
  const issues: Issue[] = [];
  const demand = (claim: boolean, message: string): void => {
    if (!claim) issues.push({ path, message });
  };
  const isQuantity = node['x-kubernetes-int-or-string'] === true;
  const allowed = isQuantity ? intOrString : keywords[String(node.type)];
  demand(
    allowed !== undefined,
    node.type === undefined ? 'has no type' : `has the unusable type ${JSON.stringify(node.type)}`,
  );
  const foreign = Object.keys(node).filter((keyword) => !(allowed ?? Object.keys(node)).includes(keyword));
  demand(foreign.length === 0, `has the unusable keyword ${foreign.join(', ')}`);
  demand(!isField || Boolean(node.description?.trim()), 'has no description');
  if (isQuantity)
    demand(JSON.stringify(node.anyOf) === onlyIntOrString, 'must allow an integer or a string, and nothing else');
  if (node.type === 'string' || isQuantity) lintText(node, demand);
  if (node.type === 'integer') demand(node.minimum !== undefined && node.maximum !== undefined, 'has no bounds');
  if (node.type === 'array') lintList(node, demand);
  if (node.type === 'object') lintObject(node, demand);
  issues.push(...lintChildren(node, path));
  if (issues.length === 0 && node.default !== undefined) resolve(node, node.default, join(path, 'default'), issues);
  return issues;
}

type Demand = (claim: boolean, message: string) => void;

function lintText(node: Node, demand: Demand): void {
  demand(node.enum !== undefined || node.maxLength !== undefined, 'has no maxLength');
  demand(!notRe2.test(node.pattern ?? ''), 'has a pattern that RE2 does not know');
}

function lintList(node: Node, demand: Demand): void {
  demand(node.maxItems !== undefined, 'has no maxItems');
  demand(node.items !== undefined, 'has no items');
  const keys = node['x-kubernetes-list-map-keys'];
  demand(
    (node['x-kubernetes-list-type'] === 'map') === (keys !== undefined),
    'must have keys if and only if it is a map',
  );
  for (const key of keys ?? []) {
    const isSet = node.items?.required?.includes(key) || node.items?.properties?.[key]?.default !== undefined;
    demand(Boolean(isSet), `has the key ${key}, which is neither required nor has a default`);
  }
}

function lintObject(node: Node, demand: Demand): void {
  const { properties, additionalProperties, required = [] } = node;
  demand(!properties || additionalProperties === undefined, 'has both properties and additionalProperties');
  const isOpaque = node['x-kubernetes-preserve-unknown-fields'] === true;
  demand(Boolean(properties || additionalProperties || isOpaque), 'has no fields');
  if (additionalProperties) demand(node.maxProperties !== undefined, 'has no maxProperties');
  for (const name of required)
    demand(Object.hasOwn(properties ?? {}, name), `requires ${name}, which it does not have`);
}

function lintChildren(node: Node, path: string): Issue[] {
  const fields = Object.entries(node.properties ?? {}).flatMap(([name, field]) => lint(field, join(path, name), true));
  const items = node.items ? lint(node.items, `${path}[*]`, false) : [];
  const isSchema = typeof node.additionalProperties === 'object';
  return [
    ...fields,
    ...items,
    ...(isSchema && node.additionalProperties ? lint(node.additionalProperties, `${path}[*]`, false) : []),
  ];
}
