/**
 * Fills in defaults and checks a value against a schema in one pass, as the API server does: a field or map entry that
 * is null counts as absent, an absent one gets its default, and the fields of that default get theirs.
 */
import type { Issue } from './invalid.ts';
import { countIssue, mismatch, show, unknownField } from './issue.ts';
import { isObject } from './json.ts';
import { child, entry } from './path.ts';
import type { Node } from './schema.ts';

/** A copy of the value with defaults. Every problem is appended to `issues`; malformed parts stay as given. */
export function resolve(node: Node, value: unknown, path: string, issues: Issue[]): unknown {
  if (node['x-kubernetes-int-or-string']) return resolveQuantity(node, value, path, issues);
  switch (node.type) {
    case 'object':
      return resolveObject(node, value, path, issues);
    case 'array':
      return resolveList(node, value, path, issues);
    default:
      return resolveScalar(node, value, path, issues);
  }
}

function resolveObject(node: Node, value: unknown, path: string, issues: Issue[]): unknown {
  if (!isObject(value)) return refuse(path, mismatch(node, value), value, issues);
  const result: Record<string, unknown> = {};
  const properties = node.properties ?? {};
  for (const [name, field] of Object.entries(properties)) {
    const given = (Object.hasOwn(value, name) ? value[name] : undefined) ?? field.default;
    if (given !== undefined) result[name] = resolve(field, given, child(path, name), issues);
    else if (node.required?.includes(name)) issues.push({ path: child(path, name), message: 'is required' });
  }
  const isUnknown = (name: string): boolean => !Object.hasOwn(properties, name);
  const others = Object.keys(value).filter(
    (name) => isUnknown(name) && !(node.additionalProperties && value[name] === null),
  );
  for (const name of others) {
    const field = node.additionalProperties;
    if (field) result[name] = resolve(field, value[name], child(path, name), issues);
    else if (node['x-kubernetes-preserve-unknown-fields']) result[name] = value[name];
    else issues.push({ path: child(path, name), message: unknownField(name, Object.keys(properties)) });
  }
  const message = countIssue(others.length, node.minProperties, node.maxProperties);
  if (node.additionalProperties && message) issues.push({ path, message });
  return result;
}

function resolveList(node: Node, value: unknown, path: string, issues: Issue[]): unknown {
  if (!Array.isArray(value)) return refuse(path, mismatch(node, value), value, issues);
  const message = countIssue(value.length, node.minItems, node.maxItems);
  if (message) issues.push({ path, message });
  const items = value.map((item, index) => resolve(node.items ?? {}, item, entry(path, index), issues));
  refuseDuplicates(node, items, path, issues);
  return items;
}

/** Entries of a set are compared as a whole, those of a list map by their keys. */
function refuseDuplicates(node: Node, items: readonly unknown[], path: string, issues: Issue[]): void {
  const keys = node['x-kubernetes-list-map-keys'];
  if (node['x-kubernetes-list-type'] === 'atomic') return;
  const firstOf = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const identity = keys ? keys.map((key) => (isObject(item) ? item[key] : undefined)) : [item];
    if (identity.some((part) => typeof part !== 'string')) continue;
    const text = JSON.stringify(identity);
    const first = firstOf.get(text);
    if (first === undefined) firstOf.set(text, index);
    else {
      const place = keys?.length === 1 ? child(entry(path, index), keys.join()) : entry(path, index);
      issues.push({ path: place, message: `${identity.map(show).join(', ')} is already in ${entry(path, first)}` });
    }
  }
}

function resolveScalar(node: Node, value: unknown, path: string, issues: Issue[]): unknown {
  const message = scalarIssue(node, value);
  return message === undefined ? value : refuse(path, message, value, issues);
}

function scalarIssue(node: Node, value: unknown): string | undefined {
  if (node.type === 'string' && typeof value === 'string') {
    const length = [...value].length;
    if (node.enum && !node.enum.includes(value)) return mismatch(node, value);
    if (node.maxLength !== undefined && length > node.maxLength) {
      return `must have at most ${node.maxLength} characters, has ${length}`;
    }
    if (node.minLength !== undefined && length < node.minLength) return 'must not be empty';
    return node.pattern === undefined || new RegExp(node.pattern).test(value) ? undefined : mismatch(node, value);
  }
  if (node.type === 'boolean' && typeof value === 'boolean') return undefined;
  if (node.type !== 'integer' || !Number.isInteger(value)) return mismatch(node, value);
  const isInside = Number(value) >= (node.minimum ?? 0) && Number(value) <= (node.maximum ?? Number.MAX_SAFE_INTEGER);
  return isInside ? undefined : mismatch(node, value);
}

function resolveQuantity(node: Node, value: unknown, path: string, issues: Issue[]): unknown {
  const isNumber = Number.isSafeInteger(value) && Number(value) >= 0;
  if (isNumber || (typeof value === 'string' && scalarIssue({ ...node, type: 'string' }, value) === undefined))
    return value;
  return refuse(path, mismatch(node, value), value, issues);
}

function refuse(path: string, message: string, value: unknown, issues: Issue[]): unknown {
  issues.push({ path, message });
  return value;
}
