/** Turns an unknown value into a checked object (copied, with defaults, frozen), or lists every problem with it. */
import { apiVersion } from './contract.ts';
import type { Issue } from './invalid.ts';
import { show, unknownField } from './issue.ts';
import { copyJson, deepFreeze, isObject } from './json.ts';
import { kinds } from './kinds.ts';
import { metadata } from './metadata.ts';
import { child } from './path.ts';
import { resolve } from './resolve.ts';
import type { Kind, Resource } from './resources.ts';
import { checkRules } from './rules.ts';
import { nodeOf } from './schema.ts';

/** The object, or every problem of the document. */
export type ParseResult =
  | { readonly ok: true; readonly resource: Resource }
  | { readonly ok: false; readonly issues: readonly Issue[] };

const envelope = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];

/** Reads one document. `status` is ignored: the cluster reports it, and users do not write it. */
export function parse(document: unknown): ParseResult {
  const issues: Issue[] = [];
  const copy = copyJson(document, '', issues);
  if (!isObject(copy)) {
    return {
      ok: false,
      issues: [{ path: '', message: `must be an object with apiVersion, kind, metadata and spec, is ${show(copy)}` }],
    };
  }
  const leftOut = issues.map(({ path }) => path);
  const kind = checkHeader(copy, issues);
  if (kind === undefined) return { ok: false, issues };

  const { schema, rules } = kinds[kind];
  const resource = {
    apiVersion,
    kind,
    metadata: resolve(nodeOf(metadata), copy.metadata ?? {}, 'metadata', issues),
    spec: resolve(nodeOf(schema), copy.spec ?? {}, 'spec', issues),
  };
  issues.push(...checkRules(rules, resource, issues));
  if (issues.length > 0) {
    // A field that the copy left out must not be reported again, as absent.
    return { ok: false, issues: issues.filter(({ path }, index) => index < leftOut.length || !leftOut.includes(path)) };
  }
  // The schema has just been checked.
  return { ok: true, resource: deepFreeze(resource) as Resource };
}

/** The kind, if apiVersion and kind are ours. */
function checkHeader(document: Record<string, unknown>, issues: Issue[]): Kind | undefined {
  const before = issues.length;
  if (document.kind === 'List') {
    issues.push({ path: 'kind', message: 'must not be List; write each of its items as a document of its own' });
    return undefined;
  }
  if (document.apiVersion !== apiVersion) {
    issues.push({ path: 'apiVersion', message: `must be ${apiVersion}, is ${show(document.apiVersion)}` });
  }
  const kind = (Object.keys(kinds) as Kind[]).find((name) => name === document.kind);
  if (kind === undefined) {
    const message = `must be one of ${Object.keys(kinds).join(', ')}, is ${show(document.kind)}`;
    issues.push({ path: 'kind', message });
  }
  if (issues.length > before) return undefined;
  for (const name of Object.keys(document)) {
    if (!envelope.includes(name)) issues.push({ path: child('', name), message: unknownField(name, envelope) });
  }
  return kind;
}
