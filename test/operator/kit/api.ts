/**
 * An API server in this process, over HTTP: lists, watches, server-side apply (merged, without field ownership), status,
 * and every fault that a test asks for. Its objects are in store.ts.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import type { Any } from '../../kit/any.ts';
import { merge, ObjectStore, type StoreEvent } from './store.ts';

export type { Any } from '../../kit/any.ts';

/** A request as it arrived. */
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

interface Watcher {
  readonly plural: string;
  readonly response: ServerResponse;
  readonly selector: string | undefined;
}

interface FakeAnswer {
  readonly status: number;
  readonly body: Any;
  readonly headers?: Fault['headers'];
}

/** The target of a request. */
interface Target {
  readonly plural: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly subresource: string | undefined;
}

const route = /^\/(?:api|apis)\/((?:[^/]+\/)?v\w+)(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+))?(?:\/(status))?$/;

export class FakeApi implements AsyncDisposable {
  /** Path of a kubeconfig. */
  readonly kubeconfig: string;
  /** Every request so far. */
  readonly seen: Seen[] = [];
  /** Consulted for every request; what it returns is answered instead. The answer waits for a promise. */
  fault: ((request: Seen) => Fault | undefined | Promise<undefined>) | undefined;
  readonly #folder: string;
  readonly #watchers = new Set<Watcher>();
  readonly #store = new ObjectStore((event) => {
    for (const watcher of this.#watchers) send(watcher, event);
  });
  readonly #server = createServer((request, response) => {
    void this.#handle(request, response)
      .catch((error: unknown) => refused(500, String(error)))
      .then((answer) => answer && write(response, answer));
  });

  constructor(folder: string) {
    this.#folder = folder;
    this.kubeconfig = join(folder, 'kubeconfig');
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const { port } = this.#server.address() as AddressInfo; // it listens on a port and not on a pipe
    const cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'fake', cluster }],
      users: [{ name: 'fake', user: { token: 'secret-token' } }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
      'current-context': 'fake',
    };
    await writeFile(this.kubeconfig, JSON.stringify(config));
  }

  /** Hands over requests for another protocol, such as those of `kubectl port-forward`. */
  onUpgrade(handler: (request: IncomingMessage, socket: Socket, head: Buffer) => void): void {
    this.#server.on('upgrade', handler);
  }

  /** Requests that change something. */
  writes(): Seen[] {
    return this.seen.filter(({ method }) => method !== 'GET');
  }

  /** Adds or replaces an object, as a user would; a changed `spec` gives it a new generation. */
  put(plural: string, object: Any): Any {
    return this.#store.merge(plural, object);
  }

  get(plural: string, name: string, namespace = 'shop'): Any {
    return this.#store.get(plural, namespace, name);
  }

  list(plural: string): Any[] {
    return this.#store.list(plural);
  }

  /** Deletes as a user would: an object with finalizers only gets a deletion timestamp. */
  remove(plural: string, name: string, namespace = 'shop'): void {
    this.#store.remove(plural, namespace, name);
  }

  /** Cuts every watch without notice. */
  dropWatches(): void {
    for (const { response } of this.#watchers) response.destroy();
  }

  /** Ends every watch with an expired version. */
  expireWatches(): void {
    const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
    for (const { response } of this.#watchers) response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
    this.#watchers.clear();
  }

  get watchCount(): number {
    return this.#watchers.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Undefined for a watch, which is answered piece by piece. */
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<FakeAnswer | undefined> {
    const url = new URL(request.url ?? '', 'http://fake');
    const body = await text(request);
    const one: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      body: body === '' ? undefined : JSON.parse(body),
    };
    this.seen.push(one);
    const fault = await this.fault?.(one);
    if (fault !== undefined) return refused(fault.status, fault.message, fault.headers);
    const [match, , namespace, plural = '', name, subresource] = route.exec(url.pathname) ?? [];
    if (match === undefined) return refused(404, 'no such resource');
    if (name !== undefined) return this.#handleOne(one, { plural, namespace, name, subresource });
    if (one.method === 'POST') return this.#create(one, plural, namespace);
    if (one.query.has('watch')) {
      this.#watch(one, response, plural);
      return undefined;
    }
    const selector = one.query.get('labelSelector') ?? undefined;
    const items = this.list(plural)
      .filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
      .filter((object) => matches(object, selector));
    return answered(200, { kind: 'List', metadata: { resourceVersion: `${this.#store.version}` }, items });
  }

  #handleOne(one: Seen, target: Target): FakeAnswer {
    const { plural, namespace, name } = target;
    const before = this.#store.get(plural, namespace, name);
    if (one.method === 'PATCH' && one.query.get('force') === 'true') return this.#apply(one, target, before);
    if (before === undefined) return refused(404, `${plural} ${name} not found`);
    if (one.method === 'GET') return answered(200, before);
    if (one.method === 'PATCH') return answered(200, this.#store.put(plural, merge(before, one.body)));
    if (one.method === 'PUT') {
      const { resourceVersion = before.metadata.resourceVersion } = one.body.metadata;
      if (resourceVersion !== before.metadata.resourceVersion) return refused(409);
      return answered(200, this.#store.put(plural, one.body));
    }
    this.#store.remove(plural, namespace, name);
    return answered(200, { kind: 'Status' });
  }

  #apply(one: Seen, { plural, subresource }: Target, before: Any): FakeAnswer {
    const { uid, resourceVersion } = one.body.metadata;
    if (subresource === 'status' && before === undefined) return refused(404);
    if (uid !== undefined && uid !== before?.metadata.uid) return refused(409, 'uid mismatch');
    if (resourceVersion !== undefined && before !== undefined && resourceVersion !== before.metadata.resourceVersion)
      return refused(409, 'the object has been modified');
    const status = before ? 200 : 201;
    if (one.query.has('dryRun')) return answered(status, before ?? one.body);
    const manager = one.query.get('fieldManager') ?? '';
    return answered(status, this.#store.apply(plural, before, one.body, subresource, manager));
  }

  #create(one: Seen, plural: string, namespace: string | undefined): FakeAnswer {
    const exists = this.#store.get(plural, namespace, one.body.metadata.name) !== undefined;
    if (exists) return refused(409, 'already exists');
    return answered(201, this.#store.put(plural, one.body));
  }

  #watch(one: Seen, response: ServerResponse, plural: string): void {
    const watcher: Watcher = { plural, response, selector: one.query.get('labelSelector') ?? undefined };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
    for (const event of this.#store.since(Number(one.query.get('resourceVersion')))) send(watcher, event);
  }
}

export async function startFakeApi(): Promise<FakeApi> {
  const api = new FakeApi(await mkdtemp(join(tmpdir(), 'hydrogen-fake-api-')));
  await api.listen();
  return api;
}

function send({ plural, response, selector }: Watcher, event: StoreEvent): void {
  const { type, object } = event;
  if (plural === event.plural && matches(object, selector)) response.write(`${JSON.stringify({ type, object })}\n`);
}

function matches(object: Any, selector: string | undefined): boolean {
  if (selector === undefined) return true;
  const [label = '', value] = selector.split('=');
  return object.metadata.labels?.[label] === value;
}

function answered(status: number, body: Any): FakeAnswer {
  return { status, body };
}

function refused(status: number, message = 'refused', headers: Fault['headers'] = {}): FakeAnswer {
  return { status, body: { kind: 'Status', code: status, message }, headers };
}

function write(response: ServerResponse, { status, body, headers = {} }: FakeAnswer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
