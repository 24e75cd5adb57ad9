/** What an editor shows about a field: its description, its bounds and its default, as TSDoc. */
import type { Node } from '../crds/schema.ts';
import { defaultOf, meaningOf } from './reference-rows.ts';

const maxWidth = 120;

/** The comment above a field of an interface. */
export function fieldComment(node: Node, isOptional: boolean): string[] {
  const bounds = boundsOf(node);
  const value = node.default === undefined ? '' : defaultOf(node, false).replaceAll('`', '');
  const paragraphs = [
    meaningOf(node),
    ...(bounds === '' ? [] : ['', bounds]),
    ...(value === '' ? [] : [...(bounds === '' ? [''] : []), `@default ${value}`]),
    ...(isOptional && value === '' && node.default !== undefined ? ['', 'Absent: the defaults of its fields.'] : []),
  ];
  return wrapped(paragraphs, '  ');
}

/** The limits of a value in one sentence; empty without any. */
function boundsOf(node: Node): string {
  if (node.enum) return '';
  switch (node.type) {
    case 'integer':
      return node.maximum === Number.MAX_SAFE_INTEGER ? '' : `A whole number from ${node.minimum} to ${node.maximum}.`;
    case 'array':
      return `${node.minItems ?? 0} to ${node.maxItems} entries.`;
    case 'object':
      return node.additionalProperties ? `At most ${node.maxProperties} entries.` : '';
    case 'string':
      return `At most ${node.maxLength} characters.`;
    default:
      return node['x-kubernetes-int-or-string'] ? 'A quantity: a whole number, or a string such as `512Mi`.' : '';
  }
}

/** A comment of these paragraphs, each broken into lines. */
export function wrapped(paragraphs: readonly string[], indent: string): string[] {
  const [only = ''] = paragraphs;
  const safe = (text: string): string => text.replaceAll('*/', '*\\/');
  const single = `${indent}/** ${safe(only)} */`;
  if (paragraphs.length === 1 && single.length <= maxWidth) return [single];
  const prefix = `${indent} *`;
  const lines = paragraphs.flatMap((text) => broken(safe(text), maxWidth - prefix.length - 1));
  return [`${indent}/**`, ...lines.map((line) => `${prefix} ${line}`.trimEnd()), `${indent} */`];
}

function broken(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}
