/**
 * Finalizers keep an object until the operator has cleaned up after it. They are applied server-side, so other
 * parties' finalizers stay.
 */
import type { Kind } from '../../crds/index.ts';
import type { Kube } from './client.ts';
import { isApiError } from './errors.ts';
import { customTypes, type KubeObject, namespaceType } from './objects.ts';

/** Keeps a group until its members are gone, and its streams too if they are to be deleted with it. */
export const groupFinalizer = 'hydrogen.dev/group';
/** Keeps a message processor until its consumers are gone. */
export const processorFinalizer = 'hydrogen.dev/consumers';

/** True if this finalizer keeps the object. */
export function isHeld({ metadata }: KubeObject, finalizer: string): boolean {
  return metadata.finalizers?.includes(finalizer) === true;
}

/** Adds the finalizer where it is missing. @throws {ApiError} */
export async function hold(kube: Pick<Kube, 'apply'>, object: KubeObject, finalizer: string): Promise<void> {
  if (isHeld(object, finalizer)) return;
  await kube.apply(customTypes[object.kind as Kind], finalized(object, [finalizer]));
}

/** Removes the finalizer; does nothing when somebody else was faster. @throws {ApiError} */
export async function release(
  kube: Pick<Kube, 'apply' | 'merge'>,
  object: KubeObject,
  finalizer: string,
): Promise<void> {
  if (!isHeld(object, finalizer)) return;
  try {
    const type = customTypes[object.kind as Kind];
    const { metadata } = await kube.apply(type, finalized(object, []));
    if (!metadata.finalizers?.includes(finalizer)) return;
    // Another field manager owns it too, for example one that restored the object from a backup.
    const finalizers = metadata.finalizers.filter((one) => one !== finalizer);
    const { name, namespace = '', resourceVersion } = metadata;
    await kube.merge(type, namespace, name, { metadata: { finalizers, resourceVersion } });
  } catch (error) {
    if (!isApiError(error, 'gone', 'conflict')) throw error;
  }
}

/**
 * True if the whole namespace is being deleted, which waits for every finalizer in it. False if the operator is not
 * allowed to check. @throws {ApiError}
 */
export async function isNamespaceLeaving(kube: Pick<Kube, 'get'>, namespace: string): Promise<boolean> {
  try {
    const found = await kube.get(namespaceType, undefined, namespace);
    return found === undefined || found.metadata.deletionTimestamp !== undefined;
  } catch (error) {
    if (!isApiError(error, 'forbidden')) throw error;
    return false;
  }
}

// With the uid, an object that is gone is not created again.
function finalized({ apiVersion, kind, metadata }: KubeObject, finalizers: readonly string[]): KubeObject {
  const { name, namespace, uid } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace !== undefined && { namespace }), ...(uid !== undefined && { uid }), finalizers },
  };
}
