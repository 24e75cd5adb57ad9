/** What the schemas infer about a document, to which the generated interfaces must be equal. */
import type { Static, TArray, TObject, TOptional, TProperties, TSchema, TUnsafe } from 'typebox';

import type { DeepReadonly } from '../../crds/infer.ts';

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

type IsOmittable<T> = T extends { default: unknown } ? true : T extends TOptional<TSchema> ? true : false;

type InputFields<P extends TProperties> = {
  readonly [K in keyof P as IsOmittable<P[K]> extends true ? never : K]: Input<P[K]>;
} & { readonly [K in keyof P as IsOmittable<P[K]> extends true ? K : never]?: Input<P[K]> };
