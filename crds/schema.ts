/**
 * The schema dialect of the custom resources: helpers over TypeBox whose JSON is exactly what a
 * CustomResourceDefinition accepts. Every field carries a description, and every list, string and map an upper bound,
 * because the API server prices CEL rules by them.
 *
 * Defaults are set with `withDefault`, never by spreading: a spread loses the marks that TypeBox keeps on a schema.
 */
import {
  type Static,
  type TArray,
  type TBoolean,
  type TInteger,
  type TObject,
  type TProperties,
  type TSchema,
  type TString,
  type TUnsafe,
  Type,
} from 'typebox';

import { type Grammar, type GrammarName, grammars } from './grammar.ts';
import type { Defaulted } from './infer.ts';

/** Required by every helper: the sentence that `kubectl explain` shows. */
export interface Described {
  readonly description: string;
}

/** Bounds of a list; `maxItems` is not optional. */
export interface ListOptions extends Described {
  readonly minItems?: number;
  readonly maxItems: number;
}

/** The keywords that a schema in this dialect may have, for code that reads schemas. */
export interface Node {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Node;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly items?: Node;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly format?: 'date-time';
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly Node[];
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

/** The schema as plain keywords. */
export function nodeOf(schema: TSchema): Node {
  return schema as Node;
}

/** An object with these fields and no others. A field that has a default is not listed as required. */
export function Fields<P extends TProperties>(properties: P, options: Described): TObject<P> {
  const object = Type.Object(properties);
  const required = nodeOf(object).required?.filter((name) => nodeOf(object).properties?.[name]?.default === undefined);
  const fields = Type.Object(properties, { ...options, required });
  if (!required?.length) Reflect.deleteProperty(fields, 'required');
  return fields;
}

/** The schema with a default, which an absent field takes. */
export function withDefault<T extends TSchema>(schema: T, value: unknown): Defaulted<T> {
  return Type.With(schema, { default: value }) as unknown as Defaulted<T>;
}

/** A whole number from `minimum` to `maximum`. */
export function Integer(minimum: number, maximum: number, options: Described): TInteger {
  return Type.Integer({ minimum, maximum, ...options });
}

/** True or false. */
export function Flag(options: Described): TBoolean {
  return Type.Boolean({ ...options });
}

/** A string in one of the known syntaxes. */
export function Text(name: GrammarName, options: Partial<Described & Pick<Grammar, 'maxLength'>> = {}): TString {
  const { pattern, maxLength } = grammars[name];
  return Type.String({ pattern, maxLength, ...options });
}

/** A string of any syntax. */
export function FreeText(
  maxLength: number,
  options: Partial<Described> & { readonly minLength?: number } = {},
): TString {
  return Type.String({ maxLength, ...options });
}

/** A string in a syntax that users never write, so no message explains it. */
export function Pattern(pattern: string, maxLength: number, options: Described): TString {
  return Type.String({ pattern, minLength: 1, maxLength, ...options });
}

/** A moment in RFC 3339 format. */
export function Timestamp(options: Described): TString {
  return Type.String({ format: 'date-time', maxLength: 64, ...options });
}

/** One of these words. */
export function StringEnum<const V extends readonly string[]>(values: V, options: Described): TUnsafe<V[number]> {
  return Type.Unsafe<V[number]>({ type: 'string', enum: [...values], ...options });
}

/** A Kubernetes quantity: a whole number, or a string such as `512Mi`. */
export function Quantity(options: Partial<Described> = {}): TUnsafe<number | string> {
  const { pattern, maxLength } = grammars.quantity;
  return Type.Unsafe<number | string>({
    'x-kubernetes-int-or-string': true,
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    pattern,
    maxLength,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    ...options,
  });
}

/** A map from arbitrary names to values of one schema. */
export function StringMap<T extends TSchema>(
  value: T,
  options: Described & { readonly maxProperties: number },
): TUnsafe<Record<string, Static<T>>> {
  return Type.Unsafe<Record<string, Static<T>>>({ type: 'object', additionalProperties: value, ...options });
}

/** An object whose fields are passed on to Kubernetes, which checks them. */
export function Opaque(options: Described): TUnsafe<Record<string, unknown>> {
  return Type.Unsafe<Record<string, unknown>>({
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
    ...options,
  });
}

/** A list that is replaced as a whole. */
export function List<T extends TSchema>(item: T, options: ListOptions): TArray<T> {
  return Type.Array(item, { 'x-kubernetes-list-type': 'atomic', ...options });
}

/** A list without equal entries. */
export function ListSet<T extends TSchema>(item: T, options: ListOptions): TArray<T> {
  return Type.Array(item, { 'x-kubernetes-list-type': 'set', ...options });
}

/** A list of objects, no two of which have the same values for all of `keys`. */
export function ListMap<T extends TObject>(keys: readonly string[], item: T, options: ListOptions): TArray<T> {
  return Type.Array(item, {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [...keys],
    ...options,
  });
}
