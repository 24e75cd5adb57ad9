/** The objects of the API server in this process: versions, generations, finalizers, garbage collection, and history. */

import type { Any } from '../../kit/any.ts';
import { accountsAfter, accountsAfterApply, equal } from './accounts.ts';

/** A change of an object, as a watch sends it. */
export interface StoreEvent {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly plural: string;
  readonly object: Any;
}

export class ObjectStore {
  readonly #objects = new Map<string, Any>();
  readonly #past: StoreEvent[] = [];
  readonly #onEvent: (event: StoreEvent) => void;
  #version = 1;
  #uids = 0;

  constructor(onEvent: (event: StoreEvent) => void) {
    this.#onEvent = onEvent;
  }

  get version(): number {
    return this.#version;
  }

  get(plural: string, namespace: string | undefined, name: string): Any {
    return this.#objects.get(keyOf(plural, namespace, name));
  }

  list(plural: string): Any[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${plural}/`)).map(([, object]) => object);
  }

  since(version: number): StoreEvent[] {
    return this.#past.filter((event) => event.version > version);
  }

  /** Adds or replaces an object, as a user would: fields that it does not contain stay. */
  merge(plural: string, object: Any): Any {
    const before = this.get(plural, object.metadata.namespace, object.metadata.name);
    const after = merge(before ?? {}, object);
    const managedFields = accountsAfter(before, after);
    return this.put(plural, { ...after, metadata: { ...after.metadata, managedFields } });
  }

  /** Server-side apply with force. */
  apply(plural: string, before: Any, body: Any, subresource: string | undefined, manager: string): Any {
    return this.put(plural, applied(before, body, subresource, manager));
  }

  /** Stores the object unchanged; one that did not change keeps its version. */
  put(plural: string, wanted: Any): Any {
    const key = keyOf(plural, wanted.metadata.namespace, wanted.metadata.name);
    const before = this.#objects.get(key);
    if (before !== undefined && same(before, wanted)) return before;
    this.#version += 1;
    const isNewSpec = before !== undefined && !equal(before.spec, wanted.spec);
    const object = structuredClone(wanted);
    object.metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? `uid-${++this.#uids}`,
      generation: before === undefined ? 1 : before.metadata.generation + (isNewSpec ? 1 : 0),
      resourceVersion: `${this.#version}`,
    };
    this.#objects.set(key, object);
    this.#publish(before === undefined ? 'ADDED' : 'MODIFIED', plural, object);
    if (object.metadata.deletionTimestamp && !object.metadata.finalizers?.length) this.#drop(plural, object);
    return object;
  }

  /** Deletes as a user would: an object with finalizers only gets a deletion timestamp. */
  remove(plural: string, namespace: string | undefined, name: string): void {
    const object = this.get(plural, namespace, name);
    if (object === undefined) return;
    if (!object.metadata.finalizers?.length) this.#drop(plural, object);
    else this.put(plural, { ...object, metadata: { ...object.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  }

  #drop(plural: string, object: Any): void {
    this.#version += 1;
    this.#objects.delete(keyOf(plural, object.metadata.namespace, object.metadata.name));
    const metadata = { ...object.metadata, resourceVersion: `${this.#version}` };
    this.#publish('DELETED', plural, { ...object, metadata });
    for (const [key, child] of this.#objects) {
      const owners = child.metadata.ownerReferences ?? [];
      if (owners.some(({ uid }: Any) => uid === object.metadata.uid)) this.#drop(key.split('/', 1)[0] ?? '', child);
    }
  }

  #publish(type: StoreEvent['type'], plural: string, object: Any): void {
    this.#past.push({ version: this.#version, type, plural, object: structuredClone(object) });
    this.#onEvent({ version: this.#version, type, plural, object });
  }
}

/** A JSON merge patch, in which null is a value like any other. */
export function merge(before: Any, patch: Any): Any {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof before === 'object' && before !== null ? before : {};
  return {
    ...base,
    ...Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, merge(base[key], value)])),
  };
}

/** The result of an apply: status and finalizers as given, the rest as in the body; other fields stay as they were. */
function applied(before: Any, body: Any, subresource: string | undefined, manager: string): Any {
  if (subresource === 'status') return { ...before, status: body.status };
  const metadata = merge(before?.metadata ?? {}, body.metadata);
  const after = { ...before, ...body, metadata, ...(before?.status && { status: before.status }) };
  return { ...after, metadata: { ...metadata, managedFields: accountsAfterApply(before, after, body, manager) } };
}

function keyOf(plural: string, namespace: string | undefined, name: string): string {
  return `${plural}/${namespace ?? ''}/${name}`;
}

function same(a: Any, b: Any): boolean {
  const bare = ({ metadata, ...rest }: Any): Any => {
    const { resourceVersion: _, generation: __, uid: ___, ...kept } = metadata;
    return { ...rest, metadata: kept };
  };
  return equal(bare(a), bare(b));
}
