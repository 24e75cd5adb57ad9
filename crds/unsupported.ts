/** Fields that the schema already has but that nothing acts on yet: they are refused instead of being ignored. */
import type { Issue } from './issue.ts';
import { placesOf } from './path.ts';

/** A field, or one value of it, that cannot be used. */
export interface Unsupported {
  /** Where the field is, `[*]` for every entry of a list. */
  readonly path: string;
  /** The value that cannot be used. Absent: every value. */
  readonly value?: string | number | boolean;
  /** What the user can do; completes the sentence "not supported yet; ...". */
  readonly instead: string;
}

/** The places of `resource` that use something of `list`. */
export function checkUnsupported(list: readonly Unsupported[], resource: unknown): Issue[] {
  return list.flatMap(({ path, value, instead }) =>
    placesOf(resource, path)
      .filter((place) => value === undefined || place.value === value)
      .map((place) => ({ path: place.path, message: `not supported yet; ${instead}` })),
  );
}
