/**
 * Paths into a document as users read them: `spec.endpoints[0].path`, and
 * `spec.template.labels["app.example.com/tier"]` where a key is not a plain word. In a pattern, `[*]` stands for every
 * entry of a list.
 */

/** A field name, an index in a list, or `*` for every index. */
export type Segment = string | number;

const plainWord = /^[A-Za-z_$][\w$-]*$/;
const token = /\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|([^.[\]]+)/g;

/** The path of field or map key `name` under `path`. */
export function child(path: string, name: string): string {
  if (!plainWord.test(name)) return `${path}[${JSON.stringify(name)}]`;
  return path === '' ? name : `${path}.${name}`;
}

/** The path of entry `index` of the list at `path`. */
export function entry(path: string, index: number): string {
  return `${path}[${index}]`;
}

/** `path` followed by the relative path `rest`; either may be empty. */
export function join(path: string, rest: string): string {
  if (path === '' || rest === '') return path + rest;
  return rest.startsWith('[') ? path + rest : `${path}.${rest}`;
}

/** The steps of a path, from the root down. */
export function segments(path: string): Segment[] {
  return [...path.matchAll(token)].map(([, quoted, index, word]) => {
    if (quoted !== undefined) return JSON.parse(`"${quoted}"`) as string;
    if (index !== undefined) return index === '*' ? index : Number(index);
    return word ?? '';
  });
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: string, ancestor: string): boolean {
  const inner = segments(path);
  return segments(ancestor).every((segment, index) => inner[index] === segment);
}

/** The value at `path` below `value`; undefined when there is none. */
export function valueAt(value: unknown, path: string): unknown {
  return segments(path).reduce(step, value);
}

/**
 * Every place in `value` that matches `pattern`, with its path and its value; places that are absent are left out.
 */
export function placesOf(value: unknown, pattern: string): { path: string; value: unknown }[] {
  let places = [{ path: '', value }];
  for (const segment of segments(pattern)) {
    places = places.flatMap((place) => {
      if (segment === '*') {
        const list = Array.isArray(place.value) ? place.value : [];
        return list.map((item, index) => ({ path: entry(place.path, index), value: item as unknown }));
      }
      const next = step(place.value, segment);
      return next === undefined ? [] : [{ path: child(place.path, String(segment)), value: next }];
    });
  }
  return places;
}

function step(value: unknown, segment: Segment): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined;
  return (value as Record<Segment, unknown>)[segment];
}
