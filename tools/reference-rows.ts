/** The rows of a table of fields: one for each field, followed by the fields inside it. */
import { grammarOf, grammars } from '../crds/grammar.ts';
import type { ManifestNode } from '../crds/manifest.ts';

/** An object that occurs in many fields, which the reference therefore explains once. */
export interface SharedPart {
  readonly title: string;
  readonly words: string;
  /** Whether `node` is such an object. */
  is(node: ManifestNode): boolean;
}

/** The shared parts, in the order in which they are explained. */
export const sharedParts: readonly SharedPart[] = [
  {
    title: 'Header',
    words: 'A header that hydrogen sends with a request.',
    is: ({ properties }) => properties?.name?.pattern === grammars.headerName.pattern && 'valueFrom' in properties,
  },
  {
    title: 'Secret key',
    words: 'One key of a secret in the namespace of the object that refers to it.',
    is: ({ properties }) => properties?.key?.pattern === grammars.secretKey.pattern,
  },
];

/** Whether `node` is a shared part, which is explained elsewhere. */
export function sharedPartOf(node: ManifestNode): SharedPart | undefined {
  return sharedParts.find((part) => part.is(node));
}

/** Field, type, default and meaning of `node` and of everything in it, ready for a Markdown table. */
export function referenceRows(path: string, node: ManifestNode, isRequired: boolean): string[][] {
  const own = [`\`${path}\``, typeOf(node), defaultOf(node, isRequired), meaningOf(node)].map(cell);
  return [own, ...rowsInside(path, node), ...(node.items ? rowsInside(`${path}[]`, node.items) : [])];
}

/** The rows of the fields of `node`, without one for itself; none of a shared part unless `isTop`. */
export function rowsInside(path: string, node: ManifestNode, isTop = false): string[][] {
  if (!isTop && sharedPartOf(node)) return [];
  return Object.entries(node.properties ?? {}).flatMap(([name, field]) =>
    referenceRows(path === '' ? name : `${path}.${name}`, field, node.required?.includes(name) ?? false),
  );
}

function typeOf(node: ManifestNode): string {
  const part = sharedPartOf(node);
  if (part) return `[${part.title.toLowerCase()}](#${part.title.toLowerCase().replace(' ', '-')})`;
  if (node['x-kubernetes-int-or-string']) return 'quantity';
  if (node.enum) return node.enum.map((word) => `\`${word}\``).join(' or ');
  switch (node.type) {
    case 'integer':
      return node.maximum === Number.MAX_SAFE_INTEGER ? 'integer' : `integer, ${node.minimum} to ${node.maximum}`;
    case 'array':
      return `list of ${node.minItems ?? 0} to ${node.maxItems}: ${typeOf(node.items ?? {})}`;
    case 'object':
      return node.additionalProperties
        ? `map of at most ${node.maxProperties}: ${typeOf(node.additionalProperties)}`
        : 'object';
    case 'string':
      return node.format === 'date-time' ? 'time' : `string, at most ${node.maxLength}`;
    default:
      return String(node.type);
  }
}

const defaultSentence = / Default:? ([^.]|[.](?=\d))*\.$/;

/** The default as it is written in a document, or that there must be a value. */
export function defaultOf(node: ManifestNode, isRequired: boolean): string {
  if (isRequired) return '**required**';
  if (node.default === undefined || JSON.stringify(node.default) === '{}') return '';
  const [inWords = ''] = /\(.*\)/.exec(defaultSentence.exec(node.description ?? '')?.[0] ?? '') ?? [];
  return `\`${JSON.stringify(node.default)}\` ${inWords}`.trim();
}

/** The description without the default, which has its own column, and the syntax in words. */
export function meaningOf(node: ManifestNode): string {
  const { description = '' } = node;
  const meaning = node.default === undefined ? description : description.replace(defaultSentence, '');
  const subject = node.items ?? node.additionalProperties ?? node;
  const words = grammarOf(subject.pattern ?? '')?.words;
  if (words === undefined || subject['x-kubernetes-int-or-string']) return meaning;
  return `${meaning} ${subject === node ? 'It is' : 'Each is'} ${words}.`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}
