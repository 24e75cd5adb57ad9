/** Every object of a resource as the API server has it now: a list, kept current by a watch through restarts of the server. */

import { setTimeout as delay } from 'node:timers/promises';

import type { ApiClient, ApiEvent } from './apiserver-client.ts';

export interface Informer<T> extends AsyncDisposable {
  /** By `<namespace>/<name>`. */
  readonly objects: ReadonlyMap<string, T>;
  /** Resolves after the first list. */
  readonly synced: Promise<void>;
}

export type InformerChange = 'ADDED' | 'MODIFIED' | 'DELETED';

interface Named {
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly resourceVersion?: string };
}

const retryMs = 100;

/** @param path of the list, without a query @param onChange must not throw; also called for what vanished between watches */
export function startInformer<T extends Named>(
  client: ApiClient,
  path: string,
  onChange: (change: InformerChange, object: T) => void = () => undefined,
): Informer<T> {
  const objects = new Map<string, T>();
  const stopped = new AbortController();
  const { signal } = stopped;
  const synced = Promise.withResolvers<void>();
  const keyOf = ({ metadata }: Named): string => `${metadata.namespace ?? ''}/${metadata.name}`;

  function put(object: T): void {
    const before = objects.get(keyOf(object));
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    objects.set(keyOf(object), object);
    onChange(before === undefined ? 'ADDED' : 'MODIFIED', object);
  }

  function remove(key: string): void {
    const object = objects.get(key);
    objects.delete(key);
    if (object !== undefined) onChange('DELETED', object);
  }

  async function list(): Promise<string> {
    const { items, metadata } = await client.get(path);
    const present = new Set<string>(items.map(keyOf));
    for (const key of objects.keys()) if (!present.has(key)) remove(key);
    for (const item of items) put(item);
    synced.resolve();
    return metadata.resourceVersion;
  }

  async function follow(version: string): Promise<void> {
    for await (const { type, object } of watch(version)) {
      if (type === 'ERROR') return;
      if (type === 'DELETED') remove(keyOf(object));
      else if (type !== 'BOOKMARK') put(object);
    }
  }

  function watch(version: string): AsyncIterable<ApiEvent> {
    return client.watch(`${path}?watch=1&resourceVersion=${version}&timeoutSeconds=600`, signal);
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await follow(await list());
      } catch {
        // The server is away, or the version too old: listed again in a moment.
      }
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  const running = run();
  return {
    objects,
    synced: synced.promise,
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await running;
    },
  };
}
