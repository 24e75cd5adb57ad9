/**
 * Decides from an object's managed fields whether everything that was applied to it is still there: a field that somebody
 * else has changed or removed since is no longer recorded for our field manager. No values are compared, so neither the
 * server's notation of a quantity nor its defaults matter. Fields that others add belong to them.
 */
import { fieldManager, type KubeObject, type ManagedFields } from './objects.ts';

/**
 * Field paths in the format of `managedFields`: `f:` a field, `k:` an item by its keys, `v:` an item by its value, `.`
 * the field or item itself. A path without members is owned as a whole.
 */
export interface OwnedFields {
  readonly [path: string]: OwnedFields;
}

const none: OwnedFields = {};

/** Gateways of the same shape have the same owned fields, which are kept once. */
const mostShapes = 4096;

/** The fields that we have applied to an object and still own; equal sets of fields are the same object. */
export type FieldsOf = (object: KubeObject) => OwnedFields;

export function createFieldsOf(): FieldsOf {
  const shapes = new Map<string, OwnedFields>();
  return ({ metadata }) => {
    const applied = metadata.managedFields?.find(isOurs);
    if (applied === undefined) return none;
    const fieldsV1 = (applied.fieldsV1 ?? none) as OwnedFields;
    // The paths of the owner reference differ in every object.
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

/** True if we own every field of the object that is applied. */
export function owns({ metadata, apiVersion: _, kind: __, ...content }: KubeObject, fields: OwnedFields): boolean {
  const { labels, annotations } = metadata;
  const named = { ...(labels && { labels }), ...(annotations && { annotations }) };
  // We own nothing at all: somebody has removed the managed fields, or every field that they recorded.
  return fields !== none && holds({ ...content, metadata: named }, fields);
}

/** True for the entry that records our applies, not those of a subresource or of another operation. */
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

/** A key that the item leaves out has a default from the server, such as the protocol of a port. */
function hasKeys(item: object, keys: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(keys).every(([name, value]) => {
    const given = (item as Record<string, unknown>)[name];
    return given === undefined || given === value;
  });
}
