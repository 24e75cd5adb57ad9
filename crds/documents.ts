/** Turns YAML text with any number of documents into checked objects, and reports every problem with its line. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';

import { apiVersion, defaultNamespace } from './contract.ts';
import { type DocumentIssue, InvalidDocuments } from './invalid.ts';
import { deepest, isObject } from './json.ts';
import { kinds } from './kinds.ts';
import { findDeepNesting } from './nesting.ts';
import { parse } from './parse.ts';
import { segments, valueAt } from './path.ts';
import type { Resource } from './resources.ts';

/** Maximum number of alias expansions in one document. */
const maxAliases = 100;

/** A YAML text, taken apart. */
export interface SplitDocuments {
  /** The objects of hydrogen, in order. */
  readonly resources: readonly Resource[];
  /** The text of each object of another API, unchanged and in order. */
  readonly others: readonly string[];
}

/**
 * The objects of a YAML text, in order. `source` is its name in messages; `namespace` that of documents which name none.
 * @throws InvalidDocuments with every problem of every document; an object of another API is one.
 */
export function parseDocuments(text: string, source: string, namespace = defaultNamespace): Resource[] {
  return parseAll(text, source, namespace, false).resources;
}

/**
 * The objects of a YAML text that may have objects of other APIs as well, of which only the syntax is checked.
 * @throws InvalidDocuments with every problem of every document.
 */
export function splitDocuments(text: string, source: string, namespace = defaultNamespace): SplitDocuments {
  return parseAll(text, source, namespace, true);
}

function parseAll(
  text: string,
  source: string,
  namespace: string,
  mayHaveOthers: boolean,
): SplitDocuments & { resources: Resource[] } {
  const deepLine = findDeepNesting(text);
  if (deepLine !== undefined) {
    const message = `must not be nested more than ${deepest} levels deep`;
    throw new InvalidDocuments([{ source, line: deepLine, path: '', message }]);
  }
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const documents = Array.isArray(parsed) ? parsed.filter((document) => !isEmpty(document)) : [];
  if (documents.length === 0) throw new InvalidDocuments([{ source, path: '', message: 'contains no documents' }]);

  const issues: DocumentIssue[] = [];
  const found: Located[] = [];
  const others: string[] = [];
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  for (const [index, document] of documents.entries()) {
    const origin = { source, document: index + 1, line: lineAt(document.contents?.range[0] ?? 0) };
    if (mayHaveOthers && isOther(document)) {
      others.push(textOf(document, text));
      continue;
    }
    const result = read(document, origin, namespace, lineAt);
    if ('issues' in result) issues.push(...result.issues);
    else found.push({ resource: result.resource, origin });
  }
  issues.push(...duplicates(found));
  if (issues.length > 0) throw new InvalidDocuments(issues);
  return { resources: found.map(({ resource }) => resource), others };
}

/** Whether a document is an object of another API. One with a kind of ours is a mistake, and so is one without a kind. */
function isOther(document: YamlDocument): boolean {
  if (document.errors.length > 0 || !isMap(document.contents)) return false;
  const [version, kind] = [document.get('apiVersion'), document.get('kind')];
  if (typeof version !== 'string' || typeof kind !== 'string' || kind in kinds) return false;
  return version.split('/', 1)[0] !== apiVersion.split('/', 1)[0] && kind !== 'List';
}

/** The document as it was written: read and written again, `0644` would be another number to kubectl. */
function textOf({ range }: YamlDocument, text: string): string {
  const [start, , end] = range;
  return `${text
    .slice(start, end)
    .replace(/^---[ \t]*\n?/, '')
    .replace(/\n\.\.\.\s*$/, '')
    .trim()}\n`;
}

/** An object and where it was read from. */
export interface Located {
  readonly resource: Resource;
  readonly origin: Pick<DocumentIssue, 'source' | 'document' | 'line'>;
}

/** The objects with the kind, namespace and name of an earlier object. */
export function duplicates(found: readonly Located[]): DocumentIssue[] {
  const seen = new Set<string>();
  return found.flatMap(({ resource, origin }) => {
    const { kind, metadata } = resource;
    const identity = [kind, metadata.namespace, metadata.name].join('/');
    const isKnown = seen.has(identity);
    seen.add(identity);
    const message = `another document has the same kind and name in namespace ${metadata.namespace}`;
    return isKnown ? [{ ...origin, object: `${kind}/${metadata.name}`, path: 'metadata.name', message }] : [];
  });
}

type YamlDocument = Document.Parsed;

function isEmpty({ contents, errors }: YamlDocument): boolean {
  return errors.length === 0 && (contents === null || (isScalar(contents) && contents.value === null));
}

function read(
  document: YamlDocument,
  origin: Located['origin'],
  namespace: string,
  lineAt: (offset: number) => number,
): { resource: Resource } | { issues: DocumentIssue[] } {
  if (document.errors.length > 0) {
    const issues = document.errors.map(({ pos, message }) => ({ ...origin, line: lineAt(pos[0]), path: '', message }));
    return { issues };
  }
  const value = expand(document);
  if (value instanceof Error) {
    return { issues: [{ ...origin, path: '', message: value.message }] };
  }
  const result = parse(inNamespace(value, namespace));
  if (result.ok) return { resource: result.resource };
  const object = nameOf(value);
  const issues = result.issues.map(({ path, message }) => ({
    ...origin,
    line: lineAt(offsetOf(document, path)),
    ...(object === undefined ? {} : { object }),
    path,
    message,
  }));
  return { issues: issues.sort((a, b) => a.line - b.line) };
}

/** The document in this namespace, unless it names one. */
function inNamespace(value: unknown, namespace: string): unknown {
  if (!isObject(value) || !isObject(value.metadata)) return value;
  return { ...value, metadata: { ...value.metadata, namespace: value.metadata.namespace ?? namespace } };
}

/** The document's value, or the error for too many or unknown aliases. */
function expand(document: YamlDocument): unknown {
  try {
    return document.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    if (error instanceof ReferenceError) return error;
    throw error;
  }
}

/** `HydrogenGateway/chat`, or as much of it as the document has. */
function nameOf(value: unknown): string | undefined {
  const parts = [valueAt(value, 'kind'), valueAt(value, 'metadata.name')];
  return parts.filter((part) => typeof part === 'string').join('/') || undefined;
}

/** Position in the text of the value at `path`, or of the closest enclosing value if it is absent. */
function offsetOf(document: YamlDocument, path: string): number {
  let offset = document.contents?.range?.[0] ?? 0;
  let node: unknown = document.contents;
  for (const segment of segments(path)) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node)) node = node.items[Number(segment)];
    else if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === segment);
      offset = isScalar(pair?.key) ? (pair.key.range?.[0] ?? offset) : offset;
      node = pair?.value;
      continue;
    } else break;
    offset = (node as Node | undefined)?.range?.[0] ?? offset;
  }
  return offset;
}
