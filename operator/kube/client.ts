/** The calls of the operator to the API server, as the objects and errors that they are about. */
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { type ClusterOptions, findCluster } from './cluster.ts';
import { ApiError, messageOf } from './errors.ts';
import { fieldManager, type KubeObject, type ResourceType } from './objects.ts';
import { type Call, createTransport, type TransportHooks } from './transport.ts';

/** What a list holds, and from which version on to watch. */
export interface KubeList {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
}

/** One line of a watch. */
export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubeObject;
}

/** Which objects a list or watch is about. */
export interface Selection {
  /** @default - every namespace */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  /** After this long the server ends the watch. */
  readonly timeoutSeconds: number;
  /** Silence after which the connection counts as dead. Bookmarks come about once a minute. */
  readonly inactivityMs: number;
  readonly signal: AbortSignal;
}

export interface ApplyOptions {
  readonly subresource?: 'status';
  /** @default fieldManager */
  readonly manager?: string;
  /** Whether the server only says what it would do. @default false */
  readonly isDryRun?: boolean;
}

/** The calls that the operator makes. All @throws {ApiError} */
export interface Kube {
  /** Host and port of the API server, for messages. */
  readonly server: string;
  list(type: ResourceType, selection: Selection): Promise<KubeList>;
  /** The same, a part at a time; each has the version of the whole list. */
  pages(type: ResourceType, selection: Selection): AsyncIterable<KubeList>;
  /** Resolves when the server ends the watch in an orderly way. `onEvent` must not throw. */
  watch(type: ResourceType, options: WatchOptions, onEvent: (event: WatchEvent) => void): Promise<void>;
  /** Undefined when there is none. */
  get(type: ResourceType, namespace: string | undefined, name: string): Promise<KubeObject | undefined>;
  /** Server-side apply with force. A `metadata.uid` in the body makes it an update that never creates. */
  apply(
    type: ResourceType,
    object: object & { metadata: KubeObject['metadata'] },
    options?: ApplyOptions,
  ): Promise<KubeObject>;
  create(type: ResourceType, object: KubeObject): Promise<KubeObject>;
  /** Replaces; with `metadata.resourceVersion` only that version. */
  replace(type: ResourceType, object: KubeObject): Promise<KubeObject>;
  merge(type: ResourceType, namespace: string, name: string, patch: object): Promise<KubeObject>;
  /** Deletes that very object; nothing when it is gone. @param propagation Foreground: it stays until its own children are gone */
  delete(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    uid: string,
    propagation?: 'Background' | 'Foreground',
  ): Promise<void>;
  close(): void;
}

export type KubeOptions = ClusterOptions & TransportHooks;

/** Objects of one page of a list. More would be held in memory at once, twice: as text, and parsed. */
const pageSize = 100;

/** A client for the cluster that is found. @throws when there is no usable configuration */
export function createKube(options: KubeOptions = {}): Kube {
  const cluster = findCluster(options);
  const transport = createTransport(cluster, options);
  const open = new Set<() => void>();

  async function call(one: Call): Promise<KubeObject> {
    const response = await transport.send(one);
    try {
      return JSON.parse(await text(response)) as KubeObject; // the server answers with an object or a Status
    } catch (cause) {
      throw new ApiError(0, `${one.method} ${one.path}: ${messageOf(cause)}`, { cause });
    }
  }

  async function* pages(type: ResourceType, selection: Selection): AsyncGenerator<KubeList> {
    const query = queryOf({ labelSelector: selection.labelSelector, limit: `${pageSize}` });
    let next = '';
    for (;;) {
      const path = `${pathOf(type, selection.namespace)}?${query}${next}`;
      const page: Call = { method: 'GET', verb: 'LIST', type, path, ...acceptOf(type, 'List') };
      const { items, metadata } = (await call(page)) as unknown as ListPage;
      const { apiVersion, kind } = type;
      // The items of a list of built-in kinds do not say what they are.
      yield {
        items: (items ?? []).map((item) => ({ ...item, apiVersion, kind })),
        resourceVersion: metadata.resourceVersion,
      };
      if (!metadata.continue) return;
      next = `&continue=${encodeURIComponent(metadata.continue)}`;
    }
  }

  return {
    server: cluster.server.host,
    pages,
    list: async (type, selection) => {
      const all: KubeObject[] = [];
      let resourceVersion = '';
      for await (const page of pages(type, selection)) {
        all.push(...page.items);
        resourceVersion = page.resourceVersion;
      }
      return { items: all, resourceVersion };
    },
    watch: async (type, watch, onEvent) => {
      const query = queryOf({
        watch: '1',
        allowWatchBookmarks: 'true',
        resourceVersion: watch.resourceVersion,
        timeoutSeconds: `${watch.timeoutSeconds}`,
        labelSelector: watch.labelSelector,
      });
      const path = `${pathOf(type, watch.namespace)}?${query}`;
      const ended = new AbortController();
      const abort = (): void => ended.abort();
      const limit = setTimeout(abort, watch.timeoutSeconds * 1000 + 15_000);
      watch.signal.addEventListener('abort', abort, { once: true });
      open.add(abort);
      try {
        if (watch.signal.aborted) return;
        const opening: Call = {
          method: 'GET',
          verb: 'WATCH',
          type,
          path,
          timeoutMs: watch.inactivityMs,
          ...acceptOf(type, ''),
        };
        const response = await transport.send(opening, ended.signal);
        let failure: unknown;
        response.on('error', (error) => {
          failure = error;
        });
        for await (const line of createInterface({ input: response })) {
          if (line !== '') onEvent(typed(JSON.parse(line) as WatchEvent, type)); // one event a line
        }
        if (failure !== undefined || !response.complete) throw failure ?? new Error('the connection was cut');
      } catch (cause) {
        if (watch.signal.aborted) return;
        if (cause instanceof ApiError) throw cause;
        throw new ApiError(0, `watch of ${type.plural}: ${messageOf(cause)}`, { cause });
      } finally {
        clearTimeout(limit);
        watch.signal.removeEventListener('abort', abort);
        open.delete(abort);
      }
    },
    get: async (type, namespace, name) => {
      try {
        return await call({ method: 'GET', type, path: pathOf(type, namespace, name) });
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return undefined;
        throw error;
      }
    },
    apply: (type, object, { subresource, manager = fieldManager, isDryRun = false } = {}) => {
      const { namespace, name } = object.metadata;
      const path = pathOf(type, namespace, subresource === undefined ? name : `${name}/${subresource}`);
      return call({
        method: 'PATCH',
        type,
        path: `${path}?fieldManager=${manager}&force=true${isDryRun ? '&dryRun=All' : ''}`,
        body: object,
        contentType: 'application/apply-patch+yaml',
      });
    },
    create: (type, object) =>
      call({
        method: 'POST',
        type,
        path: `${pathOf(type, object.metadata.namespace)}?fieldManager=${fieldManager}`,
        body: object,
      }),
    replace: (type, object) => {
      const path = pathOf(type, object.metadata.namespace, object.metadata.name);
      return call({ method: 'PUT', type, path: `${path}?fieldManager=${fieldManager}`, body: object });
    },
    merge: (type, namespace, name, patch) =>
      call({
        method: 'PATCH',
        type,
        path: `${pathOf(type, namespace, name)}?fieldManager=${fieldManager}`,
        body: patch,
        contentType: 'application/merge-patch+json',
      }),
    delete: async (type, namespace, name, uid, propagation = 'Background') => {
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: propagation, preconditions: { uid } };
      try {
        await call({ method: 'DELETE', type, path: pathOf(type, namespace, name), body });
      } catch (error) {
        if (!(error instanceof ApiError) || (error.status !== 404 && error.status !== 409)) throw error;
      }
    },
    close: () => {
      for (const abort of open) abort();
      transport.close();
    },
  };
}

interface ListPage {
  readonly items: readonly KubeObject[] | null;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

/** Metadata alone halves what goes over the wire, and keeps the content of secrets out of this process. */
function acceptOf({ isMetadataOnly }: ResourceType, list: 'List' | ''): { accept?: string } {
  return isMetadataOnly ? { accept: `application/json;as=PartialObjectMetadata${list};g=meta.k8s.io;v=v1` } : {};
}

/** Metadata comes as an object of a kind of its own. */
function typed(event: WatchEvent, { isMetadataOnly, apiVersion, kind }: ResourceType): WatchEvent {
  if (!isMetadataOnly || event.type === 'ERROR') return event;
  return { type: event.type, object: { ...event.object, apiVersion, kind } };
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
