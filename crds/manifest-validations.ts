/**
 * The rules between fields in the form of a CustomResourceDefinition: `x-kubernetes-validations` on the node that CEL
 * calls `self`.
 */
import type { KindDefinition } from './kinds.ts';
import { join, segments } from './path.ts';
import type { CrossFieldRule } from './rules.ts';
import { type Node, nodeOf } from './schema.ts';

/** One entry of `x-kubernetes-validations`. */
export interface Validation {
  readonly rule: string;
  /** The error message, without values. */
  readonly message: string;
  /** The message with its values, in CEL. */
  readonly messageExpression?: string;
  /** The field at fault, below the node of the rule. */
  readonly fieldPath?: string;
}

/** The validations of a kind, each under the path of the node that it belongs to (`''` for the root). */
export function validationsOf({ schema, rules }: KindDefinition): Map<string, Validation[]> {
  const root: Node = { type: 'object', properties: { spec: nodeOf(schema) } };
  const validations = new Map<string, Validation[]>();
  for (const rule of rules) {
    validations.set(rule.path, [...(validations.get(rule.path) ?? []), ruleValidation(rule, root)]);
  }
  return validations;
}

/** The node at `path`, where `[*]` stands for the entries of a list. */
function nodeAt(root: Node, path: string): Node | undefined {
  return segments(path).reduce<Node | undefined>(
    (node, segment) => (segment === '*' ? node?.items : node?.properties?.[segment]),
    root,
  );
}

const placeholder = /\{([\w.]+)\}/;

function ruleValidation({ path, field, rule, message }: CrossFieldRule, root: Node): Validation {
  // A CRD's schema has no fields of metadata, so a rule cannot point at one.
  const isPointing = field !== undefined && path !== '';
  const expression = expressionOf(message, path, root);
  return {
    rule,
    message: withoutValues(message),
    ...(expression === undefined ? {} : { messageExpression: expression }),
    ...(isPointing ? { fieldPath: `.${field}` } : {}),
  };
}

/** `must exceed a ({a}), is {b}` without the parts that depend on values: `must exceed a`. */
function withoutValues(message: string): string {
  return message.replaceAll(/ \(\{[\w.]+\}\)|, is \{[\w.]+\}|\{[\w.]+\} ?/g, '').trim();
}

/**
 * The message as an expression, with strings in quotes as `parse` shows them. Undefined when it has no values, or
 * values other than short strings: to the API server, the text of a number is unbounded and so too expensive.
 */
function expressionOf(message: string, path: string, root: Node): string | undefined {
  const parts = message.split(new RegExp(placeholder, 'g'));
  const nodes = parts.filter((_, index) => index % 2 === 1).map((part) => nodeAt(root, join(path, part)));
  if (nodes.length === 0 || nodes.some((node) => node?.type !== 'string' || node.maxLength === undefined))
    return undefined;
  return parts
    .map((part, index) => (index % 2 === 0 ? literal(part) : `'"' + self.${part} + '"'`))
    .filter((part) => part !== "''")
    .join(' + ');
}

/** A string in CEL. */
export function literal(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
