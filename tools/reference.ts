/**
 * Writes docs/reference.md: every field of every kind, out of the schemas that the API server and `parse` judge by; and
 * the table of conditions in docs/operator.md. Run it with `npm run reference`.
 */
import { writeFileSync } from 'node:fs';

import { apiVersion } from '../crds/contract.ts';
import { type CustomResourceDefinition, customResourceDefinitions, type ManifestNode } from '../crds/manifest.ts';
import type { Validation } from '../crds/manifest-validations.ts';
import { writeConditions } from './conditions.ts';
import { referenceRows, rowsInside, type SharedPart, sharedPartOf, sharedParts } from './reference-rows.ts';

/** Where the reference is, from the root. */
export const referencePath = 'docs/reference.md';

/** The text of docs/reference.md. */
export function reference(): string {
  const definitions = customResourceDefinitions();
  const links = definitions.map(({ spec: { names } }) => `- [${names.kind}](#${names.singular})`);
  const lines = [
    ...introduction,
    ...links,
    ...sharedParts.map(({ title }) => `- [${title}](#${title.toLowerCase().replace(' ', '-')})`),
    '',
    ...definitions.flatMap(kindSection),
    ...sharedParts.flatMap((part) => sharedSection(part, definitions)),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

const introduction = [
  '# API reference',
  '',
  '<!-- Written by `npm run reference`; edit the schemas in crds/ instead. -->',
  '',
  `The kinds of \`${apiVersion}\`. A cluster, \`hydrogen dev\`, \`hydrogen render\` and the cdk8s constructs read the same`,
  'fields, and the same rules refuse what is wrong, naming each place. In a cluster, `kubectl explain hgw.spec.limits` shows',
  'the same words.',
  '',
  'A field with a default may be left out; so may one with neither default nor **required**, and its description says what',
  'that means. `[]` stands for each entry of a list. Strings are measured in characters, lists and maps in entries. A',
  'quantity is a whole number or a string such as `512Mi` or `500m`. The name of an object has at most 52 lower-case',
  'letters, digits and `-`, begins with a letter and does not end with `-`.',
  '',
];

function kindSection({ spec: { names, versions } }: CustomResourceDefinition): string[] {
  const [version] = versions;
  const { spec = {}, status = {} } = version?.schema.openAPIV3Schema.properties ?? {};
  const scale = version?.subresources.scale ? ' `kubectl scale` sets `spec.replicas`.' : '';
  const fields = Object.entries(spec.properties ?? {});
  return [
    `## ${names.kind}`,
    '',
    `${version?.schema.openAPIV3Schema.description} Short name \`${names.shortNames}\`.${scale}`,
    '',
    ...fields.flatMap(([name, field]) => [
      `### ${names.shortNames}.spec.${name}`,
      '',
      ...table(referenceRows(name, field, spec.required?.includes(name) ?? false)),
      ...list(rulesIn(name, field)),
    ]),
    ...titled(
      `### Rules between fields of ${names.shortNames}.spec`,
      list(ruleLines('', spec['x-kubernetes-validations'])),
    ),
    `### ${names.shortNames}.status`,
    '',
    `${status.description} Only the operator writes it.`,
    '',
    ...table(rowsInside('', status)),
  ];
}

function sharedSection(part: SharedPart, definitions: readonly CustomResourceDefinition[]): string[] {
  const node = definitions
    .map(({ spec }) => find(spec.versions[0]?.schema.openAPIV3Schema ?? {}, part))
    .find((found) => found !== undefined);
  if (node === undefined) throw new TypeError(`no kind has a ${part.title}`);
  return [
    `## ${part.title}`,
    '',
    part.words,
    '',
    ...table(rowsInside('', node, true)),
    ...list(rulesIn('', node, true)),
  ];
}

function find(node: ManifestNode, part: SharedPart): ManifestNode | undefined {
  if (part.is(node)) return node;
  const inner = [...Object.values(node.properties ?? {}), node.items, node.additionalProperties];
  return inner.map((field) => field && find(field, part)).find((found) => found !== undefined);
}

function table(rows: readonly (readonly string[])[]): string[] {
  return [
    '| Field | Type | Default | Meaning |',
    '|---|---|---|---|',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
  ];
}

function list(lines: readonly string[]): string[] {
  return lines.length > 0 ? [...lines, ''] : [];
}

function titled(title: string, lines: readonly string[]): string[] {
  return lines.length > 0 ? [title, '', ...lines] : [];
}

/** The rules of `node` and of all that is in it, but for shared parts. */
function rulesIn(path: string, node: ManifestNode, isTop = false): string[] {
  if (!isTop && sharedPartOf(node)) return [];
  const fields = Object.entries(node.properties ?? {});
  return [
    ...ruleLines(path, node['x-kubernetes-validations']),
    ...fields.flatMap(([name, field]) => rulesIn(path === '' ? name : `${path}.${name}`, field)),
    ...(node.items ? rulesIn(`${path}[]`, node.items) : []),
  ];
}

function ruleLines(path: string, validations: readonly Validation[] = []): string[] {
  return validations.map(({ message, fieldPath = '' }) => {
    const place = `${path}${fieldPath}`.replace(/^\./, '');
    return place === '' ? `- It ${message}.` : `- \`${place}\` ${message}.`;
  });
}

if (import.meta.main) {
  const root = new URL('../', import.meta.url);
  writeFileSync(new URL(referencePath, root), reference());
  writeConditions(root);
}
