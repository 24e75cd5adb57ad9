/** Types over schemas. */
import type { TSchema } from 'typebox';

/** A schema whose field may be left out because it has a default. */
export type Defaulted<T extends TSchema> = T & { default: unknown };

/** `T` with every property and list inside it read-only. */
export type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;
