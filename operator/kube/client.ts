/** The operator's client for the API server: takes and returns objects, and throws typed errors. */
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { ApiError, messageOf } from './errors.ts';
import { type ClusterOptions, findCluster } from './find-cluster.ts';
import type { KubeObject, ResourceType } from './objects.ts';
import { forwardPort, type PodPort } from './port-forward.ts';
import {
  type ApplyOptions,
  applyCall,
  createCall,
  deleteCall,
  getCall,
  listCall,
  mergeCall,
  replaceCall,
  type Selection,
} from './requests.ts';
import { type ApiCall, Transport, type TransportHooks } from './transport.ts';
import { type WatchEvent, type WatchOptions, watch } from './watch.ts';

/** The objects of a list, and the version to start a watch from. */
export interface KubeList {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
}

/** The calls that the operator makes. All of them throw {@link ApiError}. */
export interface Kube {
  /** Host and port of the API server, for messages. */
  readonly server: string;
  /** The namespace of the context, if it has one. */
  readonly namespace?: string | undefined;
  list(type: ResourceType, selection: Selection): Promise<KubeList>;
  /** A list page by page; each page has the version of the whole list. */
  pages(type: ResourceType, selection: Selection): AsyncIterable<KubeList>;
  /** Resolves when the server ends the watch normally. `onEvent` must not throw. */
  watch(type: ResourceType, options: WatchOptions, onEvent: (event: WatchEvent) => void): Promise<void>;
  /** Undefined if it does not exist. */
  get(type: ResourceType, namespace: string | undefined, name: string): Promise<KubeObject | undefined>;
  /** Server-side apply with force. A `metadata.uid` in the body makes it an update that never creates. */
  apply(
    type: ResourceType,
    object: object & { metadata: KubeObject['metadata'] },
    options?: ApplyOptions,
  ): Promise<KubeObject>;
  create(type: ResourceType, object: KubeObject): Promise<KubeObject>;
  /** Replaces an object; with `metadata.resourceVersion`, only if it still has that version. */
  replace(type: ResourceType, object: KubeObject): Promise<KubeObject>;
  merge(type: ResourceType, namespace: string, name: string, patch: object): Promise<KubeObject>;
  /**
   * Deletes the object with this uid, and with this version if one is given, if it exists. @param propagation Foreground: the object stays until its own
   * children are gone
   */
  delete(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    preconditions: { readonly uid: string; readonly resourceVersion?: string },
    propagation?: 'Background' | 'Foreground',
  ): Promise<void>;
  /** A connection to a port of a pod. */
  forward(target: PodPort): Promise<Duplex>;
  close(): void;
}

export type KubeOptions = ClusterOptions & TransportHooks;

/** A client for the cluster of `findCluster`. @throws when there is no usable configuration */
export function createKube(options: KubeOptions = {}): Kube {
  const cluster = findCluster(options);
  const transport = new Transport(cluster, options);
  const closing = new AbortController();
  const call = (one: ApiCall): Promise<KubeObject> => answerTo(transport, one);
  const pages = (type: ResourceType, selection: Selection) => pagesOf(transport, type, selection);
  return {
    server: cluster.server.host,
    namespace: cluster.namespace,
    pages,
    list: (type, selection) => wholeOf(pages(type, selection)),
    watch: (type, one, onEvent) => watch(transport, type, one, closing.signal, onEvent),
    get: (type, namespace, name) => unless([404], call(getCall(type, namespace, name))),
    apply: (type, object, one = {}) => call(applyCall(type, object, one)),
    create: (type, object) => call(createCall(type, object)),
    replace: (type, object) => call(replaceCall(type, object)),
    merge: (type, namespace, name, patch) => call(mergeCall(type, namespace, name, patch)),
    delete: async (type, namespace, name, preconditions, propagation = 'Background') => {
      await unless([404, 409], call(deleteCall(type, namespace, name, preconditions, propagation)));
    },
    forward: (target) => forwardPort(cluster, target),
    close: () => {
      closing.abort();
      transport.close();
    },
  };
}

async function answerTo(transport: Transport, call: ApiCall): Promise<KubeObject> {
  const response = await transport.send(call);
  const problem = (what: string, cause: unknown): ApiError =>
    new ApiError(0, `${call.method} ${call.path}: ${what}`, { cause });
  const body = await text(response).catch((cause: unknown) => {
    throw problem(messageOf(cause), cause);
  });
  try {
    return JSON.parse(body) as KubeObject; // the server answers with an object or a Status
  } catch (cause) {
    throw problem(`the answer is not JSON, as that of an API server is: ${messageOf(cause)}`, cause);
  }
}

/** Returns undefined instead of throwing an error with one of these statuses. */
async function unless(statuses: readonly number[], answer: Promise<KubeObject>): Promise<KubeObject | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && statuses.includes(error.status)) return undefined;
    throw error;
  }
}

interface ListPage {
  readonly items: readonly KubeObject[] | null;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

async function* pagesOf(transport: Transport, type: ResourceType, selection: Selection): AsyncGenerator<KubeList> {
  const { apiVersion, kind } = type;
  for (let next: string | undefined = ''; next !== undefined; ) {
    const answer = await answerTo(transport, listCall(type, selection, next));
    const { items, metadata } = answer as unknown as ListPage;
    // In lists of built-in kinds, the items have no apiVersion and kind.
    const typed = (items ?? []).map((item) => ({ ...item, apiVersion, kind }));
    yield { items: typed, resourceVersion: metadata.resourceVersion };
    next = metadata.continue || undefined;
  }
}

async function wholeOf(pages: AsyncIterable<KubeList>): Promise<KubeList> {
  const items: KubeObject[] = [];
  let resourceVersion = '';
  for await (const page of pages) {
    items.push(...page.items);
    resourceVersion = page.resourceVersion;
  }
  return { items, resourceVersion };
}
