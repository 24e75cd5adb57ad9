/**
 * Whether a live object still holds what was applied to it, as the API server keeps account of it: a field that somebody
 * else has changed or removed since is no longer among those of our field manager. No values are compared, so it matters
 * neither how the server writes a quantity nor which defaults it fills in. What others add is none of our business.
 */
import { fieldManager, type KubeObject, type ManagedFields } from './objects.ts';

/**
 * Field paths as `managedFields` has them: `f:` a field, `k:` an item by its keys, `v:` an item by its value, `.` the field or
 * item itself. One without members is owned as a whole.
 */
export interface OwnedFields {
  readonly [path: string]: OwnedFields;
}

const none: OwnedFields = {};

/** Gateways of one shape own the same fields: they are kept once for all. */
const mostShapes = 4096;

/** The fields that we have applied to an object and nobody has taken over; the same ones are the same object. */
export type FieldsOf = (object: KubeObject) => OwnedFields;

export function createFieldsOf(): FieldsOf {
  const shapes = new Map<string, OwnedFields>();
  return ({ metadata }) => {
    const applied = metadata.managedFields?.find(isOurs);
    if (applied === undefined) return none;
    const fieldsV1 = (applied.fieldsV1 ?? none) as OwnedFields;
    // Those of the owner reference differ in every object.
    const { 'f:metadata': about = none, ...content } = fieldsV1;
    const { 'f:ownerReferences': _, ...named } = about;
    const isNamed = Object.keys(named).length > 0;
    const text = JSON.stringify(isNamed ? { ...content, 'f:metadata': named } : content);
    const known = shapes.get(text);
    if (known !== undefined) return known;
    if (shapes.size >= mostShapes) shapes.clear();
    const fields = JSON.parse(text) as OwnedFields;
    shapes.set(text, fields);
    return fields;
  };
}

/** Whether every field of an object that is applied is ours. */
export function owns({ metadata, apiVersion: _, kind: __, ...content }: KubeObject, fields: OwnedFields): boolean {
  const { labels, annotations } = metadata;
  const named = { ...(labels && { labels }), ...(annotations && { annotations }) };
  // Nothing at all is ours: somebody has taken the accounts away, or all that they were about.
  return fields !== none && holds({ ...content, metadata: named }, fields);
}

/** Whether an entry is that of what we apply, and not of a subresource or of another way of writing. */
export function isOurs({ manager, operation, subresource }: ManagedFields): boolean {
  return manager === fieldManager && operation === 'Apply' && !subresource;
}

function holds(wanted: unknown, fields: OwnedFields): boolean {
  if (Object.keys(fields).length === 0) return true;
  if (Array.isArray(wanted)) return wanted.every((item) => holdsItem(item, fields));
  if (typeof wanted !== 'object' || wanted === null) return false;
  return Object.entries(wanted).every(([name, value]) => {
    const below = fields[`f:${name}`];
    return value === undefined || (below !== undefined && holds(value, below));
  });
}

function holdsItem(item: unknown, fields: OwnedFields): boolean {
  if (typeof item !== 'object' || item === null) return `v:${JSON.stringify(item)}` in fields;
  return Object.entries(fields).some(
    ([path, below]) => path.startsWith('k:') && hasKeys(item, JSON.parse(path.slice(2))) && holds(item, below),
  );
}

/** A key that the item leaves out has been filled in by the server, such as the protocol of a port. */
function hasKeys(item: object, keys: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(keys).every(([name, value]) => {
    const given = (item as Record<string, unknown>)[name];
    return given === undefined || given === value;
  });
}
