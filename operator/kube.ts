/**
 * The only door to @kubernetes/client-node: it finds the cluster and proves who we are. The requests are our own, over
 * HTTP/1.1 and one keep-alive agent: the package opens a TLS connection for every call, drops fields that it does not
 * know, and a stalled HTTP/2 session would take every watch on it along.
 */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent, type RequestOptions, request as requestHttps } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { KubeConfig } from '@kubernetes/client-node';

import { ApiError, messageOf } from './errors.ts';
import { fieldManager, type KubeObject, type ResourceType } from './resources.ts';

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
}

/** The calls that the operator makes. All @throws {ApiError} */
export interface Kube {
  /** Host and port of the API server, for messages. */
  readonly server: string;
  list(type: ResourceType, selection: Selection): Promise<KubeList>;
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

export interface KubeOptions {
  /** @default - that of the pod, else what KUBECONFIG names, else ~/.kube/config */
  readonly kubeconfig?: string | undefined;
  /** Called with each `Warning` header. */
  readonly onWarning?: (warning: string) => void;
  /** Called after each call. */
  readonly onCall?: (verb: string, resource: string, status: number) => void;
}

const requestTimeoutMs = 30_000;
const maxSockets = 16;
/** Tokens of service accounts are renewed about every 50 minutes; a refused one is read again at once. */
const authenticationMs = 30_000;

/** A client for the current context. @throws when there is no usable configuration */
export function createKube(options: KubeOptions = {}): Kube {
  const config = new KubeConfig();
  if (options.kubeconfig !== undefined) config.loadFromFile(options.kubeconfig);
  else config.loadFromDefault();
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error('the kubeconfig has no current cluster');
  const base = new URL(cluster.server);
  const authenticate = createAuthentication(config, base.protocol === 'http:');
  const open = new Set<() => void>();

  async function send(call: Call, signal?: AbortSignal): Promise<IncomingMessage> {
    const identity = await authenticate.current();
    const url = new URL(base.pathname.replace(/\/$/, '') + call.path, base);
    const payload = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers: Record<string, string> = { ...identity.headers, accept: call.accept ?? 'application/json' };
    if (payload !== undefined) {
      headers['content-type'] = call.contentType ?? 'application/json';
      headers['content-length'] = `${Buffer.byteLength(payload)}`;
    }
    const isPlain = base.protocol === 'http:';
    const outgoing = (isPlain ? requestHttp : requestHttps)(url, {
      method: call.method,
      headers,
      ...(identity.agent === undefined ? {} : { agent: identity.agent }),
      ...(identity.auth === undefined ? {} : { auth: identity.auth }),
      ...(signal && { signal }),
    });
    outgoing.setTimeout(call.timeoutMs ?? requestTimeoutMs, () => {
      outgoing.destroy(new Error(`no answer for ${(call.timeoutMs ?? requestTimeoutMs) / 1000} s`));
    });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject).end(payload);
    }).catch((cause: unknown) => {
      options.onCall?.(call.method, call.type.plural, 0);
      throw new ApiError(0, `${call.method} ${call.path}: ${messageOf(cause)}`, { cause });
    });
    const status = response.statusCode ?? 0;
    options.onCall?.(call.method, call.type.plural, status);
    for (const warning of warningsOf(response)) options.onWarning?.(warning);
    if (status >= 200 && status < 300) return response;
    if (status === 401) authenticate.forget();
    throw await errorOf(call, response);
  }

  async function call(one: Call): Promise<KubeObject> {
    const response = await send(one);
    try {
      return JSON.parse(await text(response)) as KubeObject; // the server answers with an object or a Status
    } catch (cause) {
      throw new ApiError(0, `${one.method} ${one.path}: ${messageOf(cause)}`, { cause });
    }
  }

  return {
    server: base.host,
    list: async (type, selection) => {
      const items: KubeObject[] = [];
      const query = queryOf({ labelSelector: selection.labelSelector, limit: '500' });
      let next = '';
      for (;;) {
        const path = `${pathOf(type, selection.namespace)}?${query}${next}`;
        const page = (await call({ method: 'GET', type, path, ...acceptOf(type, 'List') })) as unknown as ListPage;
        // The items of a list of built-in kinds do not say what they are.
        for (const item of page.items ?? []) items.push({ ...item, apiVersion: type.apiVersion, kind: type.kind });
        if (!page.metadata.continue) return { items, resourceVersion: page.metadata.resourceVersion };
        next = `&continue=${encodeURIComponent(page.metadata.continue)}`;
      }
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
        const one = { method: 'GET', type, path, timeoutMs: watch.inactivityMs, ...acceptOf(type, '') };
        const response = await send(one, ended.signal);
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
    apply: (type, object, { subresource, manager = fieldManager } = {}) => {
      const { namespace, name } = object.metadata;
      const path = pathOf(type, namespace, subresource === undefined ? name : `${name}/${subresource}`);
      return call({
        method: 'PATCH',
        type,
        path: `${path}?fieldManager=${manager}&force=true`,
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
      authenticate.close();
    },
  };
}

interface Call {
  readonly method: string;
  readonly type: ResourceType;
  readonly path: string;
  readonly body?: object;
  readonly contentType?: string;
  readonly accept?: string;
  readonly timeoutMs?: number;
}

interface ListPage {
  readonly items: readonly KubeObject[] | null;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

interface Authenticated {
  readonly headers: Readonly<Record<string, string>>;
  readonly agent: Agent | undefined;
  readonly auth: string | undefined;
}

/** Credentials as client-node finds them, with one agent for as long as the certificates stay the same. */
function createAuthentication(config: KubeConfig, isPlain: boolean) {
  const proxied = config.getCurrentCluster()?.proxyUrl !== undefined;
  let agent: Agent | undefined;
  let agentKey = '';
  let found: Promise<Authenticated> | undefined;
  let foundAtMs = 0;

  async function find(): Promise<Authenticated> {
    // Headers and TLS material are filled in; the type of the parameter is that of any HTTPS request.
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    const headers = Object.fromEntries(
      Object.entries(options.headers ?? {}).map(([name, value]) => [name, `${value}`]),
    );
    const auth = options.auth ?? undefined;
    // A proxy needs the agent that the package makes for it.
    if (proxied) return { headers, auth, agent: options.agent as Agent };
    if (isPlain) return { headers, auth, agent: undefined };
    const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = options;
    const tls = { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized };
    const tlsKey = JSON.stringify(tls);
    if (agent === undefined || tlsKey !== agentKey) {
      agentKey = tlsKey;
      const defined = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
      agent = new Agent({ ...defined, keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: maxSockets });
    }
    return { headers, auth, agent };
  }

  return {
    current: (): Promise<Authenticated> => {
      if (found === undefined || Date.now() - foundAtMs > authenticationMs) {
        foundAtMs = Date.now();
        found = find().catch((cause: unknown) => {
          found = undefined;
          throw new ApiError(0, `no credentials for the API server: ${messageOf(cause)}`, { cause });
        });
      }
      return found;
    },
    forget: (): void => {
      found = undefined;
    },
    close: (): void => agent?.destroy(),
  };
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

function warningsOf({ headers }: IncomingMessage): string[] {
  const values = [headers.warning ?? []].flat();
  return values.flatMap((value) => [...value.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? ''));
}

async function errorOf(call: Call, response: IncomingMessage): Promise<ApiError> {
  const status = response.statusCode ?? 0;
  const body = await text(response).catch(() => '');
  const seconds = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  let message = body;
  try {
    message = (JSON.parse(body) as { message?: string }).message ?? body;
  } catch {
    // Proxies in between answer with text.
  }
  return new ApiError(status, message === '' ? `${call.method} ${call.path}: ${status}` : message, { retryAfterMs });
}
