/**
 * Claims by name, as they were written: numbers keep all their digits. A claim is named literally, or by a JSON Pointer
 * if the name begins with `/` (RFC 6901); pointers step through objects only.
 */

import { memberSource } from '../json-member.ts';

/** JSON text: a tree of the chosen members, each a source text or more members. */
type Selection = Map<string, Selection | string>;

/** A claim; undefined if there is none. */
export function claimValue(claims: unknown, name: string): unknown {
  let value = claims;
  for (const step of stepsOf(name)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    value = Object.hasOwn(value, step) ? Reflect.get(value, step) : undefined;
  }
  return value;
}

/** The source text of a claim; undefined if there is none. @param claims JSON of an object */
function claimSource(claims: string, name: string): string | undefined {
  let source: string | undefined = claims;
  for (const step of stepsOf(name)) {
    if (source === undefined || !source.startsWith('{')) return undefined;
    source = memberSource(source, step);
  }
  return source;
}

/** JSON of an object with these claims at the places that they have among the claims; those that are absent are left out. */
export function selectClaims(claims: string, names: readonly string[]): string {
  const selection: Selection = new Map();
  for (const name of names) {
    const source = claimSource(claims, name);
    if (source !== undefined) place(selection, stepsOf(name), source);
  }
  return write(selection);
}

function place(selection: Selection, [step = '', ...rest]: readonly string[], source: string): void {
  const known = selection.get(step);
  if (rest.length === 0) selection.set(step, source);
  // With the whole object, what is inside it is chosen already.
  else if (typeof known !== 'string') {
    const inner = known ?? new Map();
    selection.set(step, inner);
    place(inner, rest, source);
  }
}

function write(selection: Selection): string {
  const members = [...selection].map(([name, value]) => {
    return `${JSON.stringify(name)}:${typeof value === 'string' ? value : write(value)}`;
  });
  return `{${members.join()}}`;
}

function stepsOf(name: string): string[] {
  if (!name.startsWith('/')) return [name];
  return name
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}
