/**
 * Keeps a current copy of the objects of one resource: a list, then a watch from its version. A watch that was cut
 * resumes where it ended; only an expired version requires a new list, and whatever is missing from that list was deleted
 * in the meantime. Silence counts as a dead connection.
 */
import { setTimeout as delay } from 'node:timers/promises';

import type { Kube } from '../kube/client.ts';
import { ApiError, type ApiErrorKind, isApiError } from '../kube/errors.ts';
import { keyOf } from '../kube/keys.ts';
import type { KubeObject, ResourceType } from '../kube/objects.ts';
import type { Selection } from '../kube/requests.ts';
import type { WatchEvent } from '../kube/watch.ts';
import type { Turn } from './turn.ts';

/** How an object changed; `before` is undefined for a new one, `after` for one that is gone. */
export interface Change<Kept extends KubeObject = KubeObject> {
  readonly key: string;
  readonly before: Kept | undefined;
  readonly after: Kept | undefined;
  /** True if it comes from the answer to one of our own writes. */
  readonly isOwn: boolean;
}

export interface ReflectorOptions<Kept extends KubeObject> extends Selection {
  readonly type: ResourceType;
  /** Cuts an object down to what is kept. */
  readonly transform: (object: KubeObject) => Kept;
  readonly onChange: (change: Change<Kept>) => void;
  /** A list or watch has failed and will be retried. */
  readonly onFailure: (error: unknown, delayMs: number) => void;
  /** A handler threw. */
  readonly onBug: (error: unknown) => void;
  /** @default 200 */
  readonly baseDelayMs?: number;
  /** @default 30_000 */
  readonly maxDelayMs?: number;
  /** @default 120_000 */
  readonly inactivityMs?: number;
  /** Answers to a list that mean there are no objects for us, and that do not count as failures. @default - none */
  readonly absentOn?: readonly ApiErrorKind[];
  /** Called with the first such answer after objects could last be listed. */
  readonly onAbsent?: (error: ApiError) => void;
  /** Called when the server no longer knows the resource, and when it does again. */
  readonly onServed?: (isServed: boolean) => void;
  /** @default - lists at once */
  readonly turn?: Turn;
}

/** How often a resource that the server does not know is requested again. */
const unknownResourceMs = 60_000;

/** A watch that ends normally sooner than this is followed by a pause. */
const shortWatchMs = 1000;

export class Reflector<Kept extends KubeObject = KubeObject> {
  readonly #kube: Pick<Kube, 'pages' | 'watch'>;
  readonly #options: ReflectorOptions<Kept>;
  readonly #selection: Selection;
  readonly #objects = new Map<string, Kept>();
  readonly #synced = Promise.withResolvers<void>();
  readonly #stopping = new AbortController();
  /** The version that the next watch starts from; undefined: a list is due. */
  #version: string | undefined;
  #isPresent = true;
  #isServed = true;
  #failures = 0;
  /** Whether the last failure was an expired version. */
  #hasExpired = false;
  #loop: Promise<void> | undefined;

  constructor(kube: Pick<Kube, 'pages' | 'watch'>, options: ReflectorOptions<Kept>) {
    this.#kube = kube;
    this.#options = options;
    this.#selection = { namespace: options.namespace, labelSelector: options.labelSelector };
  }

  get objects(): ReadonlyMap<string, Kept> {
    return this.#objects;
  }

  /** False while the server does not know the resource or does not let us see it. */
  get isPresent(): boolean {
    return this.#isPresent;
  }

  /** Resolves after the first list. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** Takes over the answer to a write, unless the watch is already past it and has shown it, or the object's deletion. */
  learn(kept: Kept): void {
    if (this.#version === undefined || !(Number(kept.metadata.resourceVersion) > Number(this.#version))) return;
    this.#put(keyOf(kept), kept, true);
  }

  async #run(): Promise<void> {
    const { turn = (list) => list() } = this.#options;
    while (!this.#stopping.signal.aborted) {
      try {
        if (this.#version === undefined) await turn(() => this.#list());
        else await this.#watch(this.#version);
      } catch (error) {
        if (!this.#stopping.signal.aborted) await this.#recover(error);
      }
    }
  }

  async #list(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const { type, transform } = this.#options;
    const unseen = new Set(this.#objects.keys());
    let listed = '';
    for await (const { items, resourceVersion } of this.#kube.pages(type, this.#selection)) {
      for (const item of items) {
        const key = keyOf(item);
        unseen.delete(key);
        this.#put(key, transform(item));
      }
      listed = resourceVersion;
    }
    for (const key of unseen) this.#put(key, undefined);
    this.#version = listed;
    this.#isPresent = true;
    this.#setServed(true);
    this.#synced.resolve();
  }

  #setServed(isServed: boolean): void {
    if (this.#isServed === isServed) return;
    this.#isServed = isServed;
    this.#options.onServed?.(isServed);
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { type, baseDelayMs = 200, inactivityMs = 120_000 } = this.#options;
    const { signal } = this.#stopping;
    const startedMs = performance.now();
    const timeoutSeconds = 240 + Math.floor(Math.random() * 120);
    let failure: ApiError | undefined;
    const options = { ...this.#selection, resourceVersion, timeoutSeconds, inactivityMs, signal };
    await this.#kube.watch(type, options, (event) => {
      if (event.type === 'ERROR') failure = errorIn(event, type);
      else this.#onEvent(event);
    });
    if (failure !== undefined) throw failure;
    // A server or proxy that ends every watch at once must not be called in a tight loop.
    if (performance.now() - startedMs < shortWatchMs) await this.#pause(baseDelayMs * 5);
  }

  #onEvent({ type, object }: WatchEvent): void {
    this.#failures = 0;
    this.#hasExpired = false;
    this.#version = object.metadata.resourceVersion ?? this.#version;
    if (type === 'BOOKMARK') return;
    const key = keyOf(object);
    const known = this.#objects.get(key);
    // The answer to our own write came first.
    if (known !== undefined && isOlder(object, known)) return;
    this.#put(key, type === 'DELETED' ? undefined : this.#options.transform(object));
  }

  #put(key: string, after: Kept | undefined, isOwn = false): void {
    const before = this.#objects.get(key);
    if (after === undefined) this.#objects.delete(key);
    else this.#objects.set(key, after);
    if (before === undefined && after === undefined) return;
    if (before?.metadata.resourceVersion === after?.metadata.resourceVersion) return;
    const { onChange, onBug } = this.#options;
    try {
      onChange({ key, before, after, isOwn });
    } catch (error) {
      onBug(error);
    }
  }

  async #recover(error: unknown): Promise<void> {
    const isExpired = isApiError(error, 'gone') && error.status === 410;
    if (!isExpired && this.#isAbsence(error)) return this.#becomeAbsent(error);
    const { baseDelayMs = 200, maxDelayMs = 30_000, onFailure } = this.#options;
    // A resource that is not found during a watch has lost its definition: it is listed again.
    if (isApiError(error, 'gone')) this.#version = undefined;
    if (isApiError(error, 'gone') && !isExpired) this.#setServed(false);
    const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const backoffMs = Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(this.#failures, 20)) * (0.5 + Math.random() / 2);
    // An expired version leads to a new list at once, however long the server was unreachable; a second one in a row
    // waits.
    const delayMs = isExpired && !this.#hasExpired ? 0 : Math.max(askedMs, backoffMs);
    this.#hasExpired = isExpired;
    this.#failures += 1;
    onFailure(error, delayMs);
    await this.#pause(delayMs);
  }

  #isAbsence(error: unknown): error is ApiError {
    const { absentOn = [] } = this.#options;
    return absentOn.length > 0 && isApiError(error, ...absentOn);
  }

  async #becomeAbsent(error: ApiError): Promise<void> {
    if (this.#isPresent) this.#options.onAbsent?.(error);
    this.#isPresent = false;
    for (const key of [...this.#objects.keys()]) this.#put(key, undefined);
    this.#version = undefined;
    this.#synced.resolve();
    await this.#pause(unknownResourceMs);
  }

  async #pause(ms: number): Promise<void> {
    if (ms > 0) await delay(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}

function errorIn({ object }: WatchEvent, type: ResourceType): ApiError {
  const { code = 0, message = '' } = object as unknown as { code?: number; message?: string };
  return new ApiError(code, `watch of ${type.plural}: ${message}`);
}

/** Versions of one resource are increasing numbers. */
function isOlder(one: KubeObject, other: KubeObject): boolean {
  return Number(one.metadata.resourceVersion) < Number(other.metadata.resourceVersion);
}
