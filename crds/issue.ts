/** Error messages for the person who wrote a document. */
import { grammarOf } from './grammar.ts';
import type { Node } from './schema.ts';

const longestShown = 60;

/** `value` as it appears in a message: short, and without the password of a URL. */
export function show(value: unknown): string {
  if (value === undefined) return 'absent';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value).replace(/:\/\/[^/\s]*@/, '://***@');
  return text.length > longestShown ? `${text.slice(0, longestShown)}...` : text;
}

/** The values that `node` accepts; completes the sentence "must be ...". */
function expectation(node: Node): string {
  if (node.enum) return node.enum.length === 1 ? String(node.enum[0]) : `one of ${node.enum.join(', ')}`;
  if (node.pattern !== undefined) return grammarOf(node.pattern)?.words ?? `a string that matches ${node.pattern}`;
  switch (node.type) {
    case 'integer':
      return `an integer from ${node.minimum} to ${node.maximum}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    case 'object':
      return node.additionalProperties ? 'a map' : 'an object';
    default:
      return 'a string';
  }
}

/** The message for a value that `node` does not accept. */
export function mismatch(node: Node, value: unknown): string {
  const isPrivate = node.pattern !== undefined && grammarOf(node.pattern)?.isPrivate === true;
  if (isPrivate && typeof value === 'string') return `must be ${expectation(node)}`;
  const isUnquoted = node.type === 'string' && (typeof value === 'number' || typeof value === 'boolean');
  return `must be ${expectation(node)}, is ${show(value)}${isUnquoted ? ' (put it in quotes)' : ''}`;
}

/** The message for a count outside its bounds; undefined if it is within them. */
export function countIssue(
  count: number,
  minimum: number | undefined,
  maximum: number | undefined,
): string | undefined {
  if (count >= (minimum ?? 0) && count <= (maximum ?? Number.POSITIVE_INFINITY)) return undefined;
  const bounds = minimum ? `${minimum} to ${maximum}` : `at most ${maximum}`;
  return `must have ${bounds} entries, has ${count}`;
}

/** The message for the unknown field `name`; `known` lists the names that exist. */
export function unknownField(name: string, known: readonly string[]): string {
  const lower = name.toLowerCase();
  const close = known
    .map((candidate) => ({ candidate, distance: distance(lower, candidate.toLowerCase()) }))
    .filter((near) => near.distance <= Math.min(2, name.length - 1))
    .sort((a, b) => a.distance - b.distance)[0];
  return close ? `unknown field; did you mean ${close.candidate}?` : `unknown field; known here: ${known.join(', ')}`;
}

/** Number of insertions, deletions and substitutions that turn one word into the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, left] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, right] of [...b].entries()) {
      const substituted = (row[j] ?? 0) + (left === right ? 0 : 1);
      next.push(Math.min(substituted, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
