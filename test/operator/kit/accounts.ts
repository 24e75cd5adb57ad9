/** Managed fields, as far as tests need them: every list counts as one field, and only applies own anything. */

import type { Any } from '../../kit/any.ts';

/** `managedFields` after a change that is not an apply: nobody owns what it changed or removed. */
export function accountsAfter(before: Any, after: Any): Any[] {
  const accounts: Any[] = before?.metadata.managedFields ?? [];
  return accounts.map((account) => ({ ...account, fieldsV1: kept(account.fieldsV1, before, after) }));
}

/** `managedFields` after a forced apply: its manager owns what the body contains; others lose what it changed. */
export function accountsAfterApply(before: Any, after: Any, body: Any, manager: string): Any[] {
  const others = accountsAfter(before, after).filter((account) => account.manager !== manager);
  const { apiVersion: _, kind: __, ...content } = body;
  const { name: _name, namespace: _namespace, uid: _uid, resourceVersion: _version, ...metadata } = body.metadata;
  return [...others, { manager, operation: 'Apply', fieldsV1: fieldsOf({ ...content, metadata }) }];
}

export function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function fieldsOf(value: Any): Any {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [`f:${name}`, fieldsOf(field)]));
}

/** A map without any fields left is removed as well. */
function kept(fields: Any, before: Any, after: Any): Any {
  const entries = Object.entries(fields as Record<string, Any>).flatMap(([path, below]): [string, Any][] => {
    const name = path.slice(2);
    const [was, is] = [before?.[name], after?.[name]];
    if (Object.keys(below).length === 0) return equal(was, is) ? [[path, below]] : [];
    const left = kept(below, was, is);
    return Object.keys(left).length === 0 ? [] : [[path, left]];
  });
  return Object.fromEntries(entries);
}

function sorted(value: Any): Any {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}
