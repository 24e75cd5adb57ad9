/**
 * The part of a live status that can be compared with a wanted one: only the wanted fields, since what others add belongs
 * to them. For children, the API server's managed fields are used instead (`kube/managed-fields.ts`).
 */

/** Fields that identify the items of a list of objects, whatever their order. */
const itemKeys = ['name', 'uid', 'containerPort', 'port', 'topologyKey', 'type', 'host', 'path'] as const;

/** The part of `live` that `desired` covers; undefined where it is absent. */
export function project(desired: unknown, live: unknown): unknown {
  if (Array.isArray(desired)) return Array.isArray(live) ? projectList(desired, live) : undefined;
  if (typeof desired !== 'object' || desired === null) return live;
  if (typeof live !== 'object' || live === null) return undefined;
  const fields = live as Record<string, unknown>;
  return Object.fromEntries(Object.entries(desired).map(([name, value]) => [name, project(value, fields[name])]));
}

function projectList(desired: readonly unknown[], live: readonly unknown[]): unknown {
  const key = itemKeys.find((candidate) => areDistinctBy(candidate, desired));
  if (key === undefined) {
    const isPlain = desired.every((item) => typeof item !== 'object');
    return isPlain ? live : desired.map((item, index) => project(item, live[index]));
  }
  return desired.map((item) =>
    project(
      item,
      live.find((candidate) => field(candidate, key) === field(item, key)),
    ),
  );
}

function areDistinctBy(key: string, items: readonly unknown[]): boolean {
  const values = items.map((item) => field(item, key));
  return values.length > 0 && !values.includes(undefined) && new Set(values).size === values.length;
}

function field(item: unknown, name: string): unknown {
  return typeof item === 'object' && item !== null ? (item as Record<string, unknown>)[name] : undefined;
}
