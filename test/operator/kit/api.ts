/**
 * An API server in this process, over HTTP: lists, watches, server-side apply (merged, without field ownership), status,
 * finalizers and garbage collection by owner, and every fault that a test asks for.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { accountsAfter, accountsAfterApply, equal } from './accounts.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read whatever fields an object should have.
export type Any = any;

/** A request as it came. */
export interface Seen {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Any;
}

/** An answer instead of the usual one. */
export interface Fault {
  readonly status: number;
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface FakeApi extends AsyncDisposable {
  readonly kubeconfig: string;
  readonly seen: Seen[];
  /** Requests that change something. */
  writes(): Seen[];
  /** Consulted for every request; what it returns is answered instead. */
  fault: ((request: Seen) => Fault | undefined) | undefined;
  /** Adds or replaces an object, as its user would; `spec` that differs is a new generation. */
  put(plural: string, object: Any): Any;
  get(plural: string, name: string, namespace?: string): Any;
  list(plural: string): Any[];
  /** Deletes as a user would: an object with finalizers only gets its deletion time. */
  remove(plural: string, name: string, namespace?: string): void;
  /** Cuts every watch without a word. */
  dropWatches(): void;
  /** Ends every watch with an expired version. */
  expireWatches(): void;
  readonly watchCount: number;
}

interface Watcher {
  readonly collection: string;
  readonly response: ServerResponse;
  readonly selector: string | undefined;
}

const route = /^\/(?:api|apis)\/((?:[^/]+\/)?v\w+)(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+))?(?:\/(status))?$/;

export async function startFakeApi(): Promise<FakeApi> {
  const objects = new Map<string, Any>();
  const log: { version: number; type: string; plural: string; object: Any }[] = [];
  const watchers = new Set<Watcher>();
  const seen: Seen[] = [];
  let version = 1;
  let uids = 0;

  const keyOf = (plural: string, namespace: string | undefined, name: string): string =>
    `${plural}/${namespace ?? ''}/${name}`;

  function publish(type: string, plural: string, object: Any): void {
    log.push({ version, type, plural, object: structuredClone(object) });
    for (const watcher of watchers) send(watcher, type, plural, object);
  }

  function send({ collection, response, selector }: Watcher, type: string, plural: string, object: Any): void {
    if (collection === plural && matches(object, selector)) response.write(`${JSON.stringify({ type, object })}\n`);
  }

  function store(plural: string, wanted: Any): Any {
    const key = keyOf(plural, wanted.metadata.namespace, wanted.metadata.name);
    const before = objects.get(key);
    if (before !== undefined && same(before, wanted)) return before;
    version += 1;
    const isNewSpec = before !== undefined && !equal(before.spec, wanted.spec);
    const object = structuredClone(wanted);
    object.metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? `uid-${++uids}`,
      generation: before === undefined ? 1 : before.metadata.generation + (isNewSpec ? 1 : 0),
      resourceVersion: `${version}`,
    };
    objects.set(key, object);
    publish(before === undefined ? 'ADDED' : 'MODIFIED', plural, object);
    if (object.metadata.deletionTimestamp && !object.metadata.finalizers?.length) drop(plural, object);
    return object;
  }

  function drop(plural: string, object: Any): void {
    version += 1;
    objects.delete(keyOf(plural, object.metadata.namespace, object.metadata.name));
    publish('DELETED', plural, { ...object, metadata: { ...object.metadata, resourceVersion: `${version}` } });
    for (const [key, child] of objects) {
      const owners = child.metadata.ownerReferences ?? [];
      if (owners.some(({ uid }: Any) => uid === object.metadata.uid)) drop(key.split('/', 1)[0] ?? '', child);
    }
  }

  function removeOne(plural: string, namespace: string | undefined, name: string): void {
    const object = objects.get(keyOf(plural, namespace, name));
    if (object === undefined) return;
    if (!object.metadata.finalizers?.length) drop(plural, object);
    else store(plural, { ...object, metadata: { ...object.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  }

  function answer(
    response: ServerResponse,
    status: number,
    body: Any,
    headers: Readonly<Record<string, string>> = {},
  ): unknown {
    return response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  }

  function refuse(response: ServerResponse, { status, message = 'refused', headers }: Fault): unknown {
    return answer(response, status, { kind: 'Status', code: status, message }, headers);
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? '', 'http://fake');
    const body = await text(request);
    const one: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      body: body === '' ? undefined : JSON.parse(body),
    };
    seen.push(one);
    const fault = api.fault?.(one);
    if (fault !== undefined) return refuse(response, fault);
    const match = route.exec(url.pathname);
    if (match === null) return refuse(response, { status: 404, message: 'no such resource' });
    const [, , namespace, plural = '', name, subresource] = match;
    if (name === undefined) return collection(one, response, plural, namespace);
    const key = keyOf(plural, namespace, name);
    const before = objects.get(key);
    if (one.method === 'PATCH' && one.query.get('force') === 'true') {
      const { uid, resourceVersion } = one.body.metadata;
      if (subresource === 'status' && before === undefined) return refuse(response, { status: 404 });
      if (uid !== undefined && uid !== before?.metadata.uid)
        return refuse(response, { status: 409, message: 'uid mismatch' });
      if (resourceVersion !== undefined && before !== undefined && resourceVersion !== before.metadata.resourceVersion)
        return refuse(response, { status: 409, message: 'the object has been modified' });
      if (one.query.has('dryRun')) return answer(response, before ? 200 : 201, before ?? one.body);
      const manager = one.query.get('fieldManager') ?? '';
      return answer(response, before ? 200 : 201, store(plural, applied(before, one.body, subresource, manager)));
    }
    if (before === undefined) return refuse(response, { status: 404, message: `${plural} ${name} not found` });
    if (one.method === 'GET') return answer(response, 200, before);
    if (one.method === 'PATCH') return answer(response, 200, store(plural, merge(before, one.body)));
    if (one.method === 'PUT') {
      const wanted = one.body.metadata.resourceVersion;
      if (wanted !== undefined && wanted !== before.metadata.resourceVersion) return refuse(response, { status: 409 });
      return answer(response, 200, store(plural, one.body));
    }
    removeOne(plural, namespace, name);
    return answer(response, 200, { kind: 'Status' });
  }

  function collection(one: Seen, response: ServerResponse, plural: string, namespace: string | undefined): unknown {
    if (one.method === 'POST') {
      const key = keyOf(plural, namespace, one.body.metadata.name);
      if (objects.has(key)) return refuse(response, { status: 409, message: 'already exists' });
      return answer(response, 201, store(plural, one.body));
    }
    const selector = one.query.get('labelSelector') ?? undefined;
    if (one.query.get('watch') === null) {
      const items = api.list(plural).filter((object) => matches(object, selector));
      return answer(response, 200, { kind: 'List', metadata: { resourceVersion: `${version}` }, items });
    }
    const watcher: Watcher = { collection: plural, response, selector };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    watchers.add(watcher);
    response.on('close', () => watchers.delete(watcher));
    const since = Number(one.query.get('resourceVersion'));
    for (const event of log.filter((past) => past.version > since))
      send(watcher, event.type, event.plural, event.object);
    return undefined;
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => refuse(response, { status: 500, message: String(error) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-fake-api-'));
  const kubeconfig = join(folder, 'kubeconfig');
  const { port } = server.address() as AddressInfo;
  const cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
  await writeFile(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'fake', cluster }],
      users: [{ name: 'fake', user: { token: 'secret-token' } }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
      'current-context': 'fake',
    }),
  );

  const api: FakeApi = {
    kubeconfig,
    seen,
    writes: () => seen.filter(({ method }) => method !== 'GET'),
    fault: undefined,
    put: (plural, object) => {
      const before = objects.get(keyOf(plural, object.metadata.namespace, object.metadata.name));
      const after = merge(before ?? {}, object);
      return store(plural, { ...after, metadata: { ...after.metadata, managedFields: accountsAfter(before, after) } });
    },
    get: (plural, name, namespace = 'shop') => objects.get(keyOf(plural, namespace, name)),
    list: (plural) => [...objects].filter(([key]) => key.startsWith(`${plural}/`)).map(([, object]) => object),
    remove: (plural, name, namespace = 'shop') => removeOne(plural, namespace, name),
    dropWatches: () => {
      for (const { response } of watchers) response.destroy();
    },
    expireWatches: () => {
      for (const { response } of watchers) {
        const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
        response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      }
      watchers.clear();
    },
    get watchCount() {
      return watchers.size;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return api;
}

function matches(object: Any, selector: string | undefined): boolean {
  if (selector === undefined) return true;
  const [label = '', value] = selector.split('=');
  return object.metadata.labels?.[label] === value;
}

/** What an apply leaves: status and finalizers as given, the rest as in the body, what it does not speak of as it was. */
function applied(before: Any, body: Any, subresource: string | undefined, manager: string): Any {
  if (subresource === 'status') return { ...before, status: body.status };
  const metadata = merge(before?.metadata ?? {}, body.metadata);
  const after = { ...before, ...body, metadata, ...(before?.status && { status: before.status }) };
  return { ...after, metadata: { ...metadata, managedFields: accountsAfterApply(before, after, body, manager) } };
}

function merge(before: Any, patch: Any): Any {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof before === 'object' && before !== null ? before : {};
  return {
    ...base,
    ...Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, merge(base[key], value)])),
  };
}

function same(a: Any, b: Any): boolean {
  const bare = ({ metadata, ...rest }: Any): Any => {
    const { resourceVersion: _, generation: __, uid: ___, ...kept } = metadata;
    return { ...rest, metadata: kept };
  };
  return equal(bare(a), bare(b));
}
