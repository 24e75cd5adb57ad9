/** Values that pods refer to: config maps, secrets and their own fields. Missing values are waited for. */

import { type DataObject, type FieldRef, NotYet, type Pod } from './objects.ts';

export type DataKind = 'ConfigMap' | 'Secret';

export interface DataRef {
  readonly namespace: string;
  readonly name: string;
  readonly optional?: boolean;
}

/** Reads config maps and secrets as the cluster has them now. */
export interface DataStore {
  find(kind: DataKind, namespace: string, name: string): DataObject | undefined;
}

/** Keys and values of an object; undefined when it may be absent and is. @throws {NotYet} when it must be there */
export function readValues(store: DataStore, kind: DataKind, ref: DataRef): Map<string, Buffer> | undefined {
  const { namespace, name, optional = false } = ref;
  const object = store.find(kind, namespace, name);
  if (object === undefined) {
    if (optional) return undefined;
    throw new NotYet('CreateContainerConfigError', `${kind.toLowerCase()} "${name}" not found`);
  }
  const encoding = kind === 'Secret' ? 'base64' : 'utf8';
  return new Map(Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, encoding)]));
}

/** One of them. @throws {NotYet} */
export function readKey(store: DataStore, kind: DataKind, ref: DataRef & { readonly key: string }): Buffer | undefined {
  const value = readValues(store, kind, ref)?.get(ref.key);
  if (value !== undefined || ref.optional === true) return value;
  const where = `${kind} ${ref.namespace}/${ref.name}`;
  throw new NotYet('CreateContainerConfigError', `couldn't find key ${ref.key} in ${where}`);
}

/** A field of the pod itself, as the downward API has it. */
export function readField({ metadata, spec }: Pod, address: string, { fieldPath }: FieldRef): string {
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    // Differs from the API: a process can only use its address on this machine.
    'status.podIP': address,
  };
  const label = /^metadata\.labels\['(.+)'\]$/.exec(fieldPath)?.[1];
  if (label !== undefined) return metadata.labels?.[label] ?? '';
  const value = fields[fieldPath];
  if (value === undefined) throw new Error(`the kubelet of the tests does not know the field ${fieldPath}`);
  return value;
}
