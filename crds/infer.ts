/** The types of a schema: of a document as a user writes it, and as `parse` returns it. */
import type { Static, TArray, TObject, TOptional, TProperties, TSchema, TUnsafe } from 'typebox';

/** A schema whose field may be left out because it has a default. */
export type Defaulted<T extends TSchema> = T & { default: unknown };

/** A document's value after defaults: what `parse` returns, deeply read-only. */
export type Resolved<T extends TSchema> = DeepReadonly<Static<T>>;

/** A document's value before defaults: what a user writes. */
export type Input<T> =
  T extends TUnsafe<infer U>
    ? DeepReadonly<U>
    : T extends TArray<infer Item>
      ? readonly Input<Item>[]
      : T extends TObject<infer P>
        ? InputFields<P>
        : T extends TSchema
          ? Static<T>
          : never;

/** `T` with every property and list inside it read-only. */
export type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

type IsOmittable<T> = T extends { default: unknown } ? true : T extends TOptional<TSchema> ? true : false;

type InputFields<P extends TProperties> = {
  readonly [K in keyof P as IsOmittable<P[K]> extends true ? never : K]: Input<P[K]>;
} & { readonly [K in keyof P as IsOmittable<P[K]> extends true ? K : never]?: Input<P[K]> };
