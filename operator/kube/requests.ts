/** Calls of the Kubernetes API as requests: paths, queries, bodies and content types. */
import { fieldManager, type KubeObject, type ResourceType } from './objects.ts';
import type { ApiCall } from './transport.ts';

/** Which objects a list or watch covers. */
export interface Selection {
  /** @default - every namespace */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
}

export interface ApplyOptions {
  readonly subresource?: 'status';
  /** @default fieldManager */
  readonly manager?: string;
  /** Whether the server only reports what it would do. @default false */
  readonly isDryRun?: boolean;
}

/** Objects in one page of a list. All of a page is in memory twice at the same time: as text and parsed. */
const pageSize = 100;

/** One page of a list. @param next continuation token of the page before it; empty for the first */
export function listCall(type: ResourceType, { namespace, labelSelector }: Selection, next: string): ApiCall {
  const query = queryOf({ labelSelector, limit: `${pageSize}`, ...(next !== '' && { continue: next }) });
  return { method: 'GET', verb: 'LIST', type, path: `${pathOf(type, namespace)}?${query}`, ...acceptOf(type, 'List') };
}

export function watchCall(
  type: ResourceType,
  { namespace, labelSelector }: Selection,
  resourceVersion: string,
  timeoutSeconds: number,
): ApiCall {
  const query = queryOf({
    watch: '1',
    allowWatchBookmarks: 'true',
    resourceVersion,
    timeoutSeconds: `${timeoutSeconds}`,
    labelSelector,
  });
  return { method: 'GET', verb: 'WATCH', type, path: `${pathOf(type, namespace)}?${query}`, ...acceptOf(type, '') };
}

export function getCall(type: ResourceType, namespace: string | undefined, name: string): ApiCall {
  return { method: 'GET', type, path: pathOf(type, namespace, name) };
}

export function applyCall(
  type: ResourceType,
  object: object & { metadata: KubeObject['metadata'] },
  { subresource, manager = fieldManager, isDryRun = false }: ApplyOptions,
): ApiCall {
  const { namespace, name } = object.metadata;
  const path = pathOf(type, namespace, subresource === undefined ? name : `${name}/${subresource}`);
  const query = `fieldManager=${manager}&force=true${isDryRun ? '&dryRun=All' : ''}`;
  return { method: 'PATCH', type, path: `${path}?${query}`, body: object, contentType: 'application/apply-patch+yaml' };
}

export function createCall(type: ResourceType, object: KubeObject): ApiCall {
  const path = pathOf(type, object.metadata.namespace);
  return { method: 'POST', type, path: `${path}?fieldManager=${fieldManager}`, body: object };
}

export function replaceCall(type: ResourceType, object: KubeObject): ApiCall {
  const path = pathOf(type, object.metadata.namespace, object.metadata.name);
  return { method: 'PUT', type, path: `${path}?fieldManager=${fieldManager}`, body: object };
}

export function mergeCall(type: ResourceType, namespace: string, name: string, patch: object): ApiCall {
  const path = `${pathOf(type, namespace, name)}?fieldManager=${fieldManager}`;
  return { method: 'PATCH', type, path, body: patch, contentType: 'application/merge-patch+json' };
}

export function deleteCall(
  type: ResourceType,
  namespace: string | undefined,
  name: string,
  preconditions: { readonly uid: string; readonly resourceVersion?: string },
  propagationPolicy: 'Background' | 'Foreground',
): ApiCall {
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy, preconditions };
  return { method: 'DELETE', type, path: pathOf(type, namespace, name), body };
}

/** Requesting only metadata halves the traffic, and keeps the content of secrets out of this process. */
function acceptOf({ isMetadataOnly }: ResourceType, list: 'List' | ''): { accept?: string } {
  return isMetadataOnly ? { accept: `application/json;as=PartialObjectMetadata${list};g=meta.k8s.io;v=v1` } : {};
}

function pathOf({ apiVersion, plural }: ResourceType, namespace: string | undefined, name?: string): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = namespace === undefined ? '' : `/namespaces/${namespace}`;
  return `${root}${scope}/${plural}${name === undefined ? '' : `/${name}`}`;
}

function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const defined = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(defined).toString();
}
