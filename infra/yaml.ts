/**
 * Objects as YAML, with the same bytes for the same objects: fields in a fixed order whatever the environment sets for
 * cdk8s, lines never wrapped, text blocks unchanged.
 */
import { stringify } from 'yaml';

/** A Kubernetes object as plain data. */
export type Manifest = Readonly<Record<string, unknown>>;

/** The fields that come first in every object. */
const first = ['apiVersion', 'kind', 'metadata', 'name', 'namespace'];

/** One document for each object. @param header comment lines before the first one */
export function toYaml(objects: readonly Manifest[], header: readonly string[] = []): string {
  const comment = header.map((line) => `# ${line}`.trimEnd().concat('\n')).join('');
  const documents = objects.map((object) => stringify(ordered(object), { lineWidth: 0, aliasDuplicateObjects: false }));
  return comment + documents.join('---\n');
}

/** `value` with the fields of every object in it in a fixed order. */
export function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, field]) => [name, ordered(field)]));
}

function rank(name: string): number {
  const index = first.indexOf(name);
  return index === -1 ? first.length : index;
}
