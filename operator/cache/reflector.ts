/**
 * A copy of the objects of one resource that stays right: a list, then a watch from its version on. A cut watch is
 * taken up where it ended; only an expired version is listed again, and what vanished meanwhile is told from the
 * difference. Silence is taken for a dead connection.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Kube } from '../kube/client.ts';
import { ApiError, type ApiErrorKind, isApiError } from '../kube/errors.ts';
import { keyOf } from '../kube/keys.ts';
import type { KubeObject, ResourceType } from '../kube/objects.ts';
import type { Selection } from '../kube/requests.ts';
import type { WatchEvent } from '../kube/watch.ts';

/** How an object changed; `before` is undefined for a new one, `after` for one that is gone. */
export interface Change<Kept extends KubeObject = KubeObject> {
  readonly key: string;
  readonly before: Kept | undefined;
  readonly after: Kept | undefined;
  /** Whether it is what an answer to our own write has shown. */
  readonly isOwn: boolean;
}

/** Lets one list after the other through: each holds whole pages in memory. */
export type Turn = (list: () => Promise<void>) => Promise<void>;

export interface ReflectorOptions<Kept extends KubeObject> extends Selection {
  readonly type: ResourceType;
  /** What is kept of an object. */
  readonly trim: (object: KubeObject) => Kept;
  readonly onChange: (change: Change<Kept>) => void;
  /** A list or watch has failed and will be tried again. */
  readonly onFailure: (error: unknown, delayMs: number) => void;
  /** A handler threw. */
  readonly onBug: (error: unknown) => void;
  /** @default 200 */
  readonly baseDelayMs?: number;
  /** @default 30_000 */
  readonly maxDelayMs?: number;
  /** @default 120_000 */
  readonly inactivityMs?: number;
  /** Answers to a list that mean that there are no objects for us, which is no failure. @default - none */
  readonly absentOn?: readonly ApiErrorKind[];
  /** Such an answer came, for the first time since objects could be listed. */
  readonly onAbsent?: (error: ApiError) => void;
  /** @default - at once */
  readonly turn?: Turn;
}

export interface Reflector<Kept extends KubeObject = KubeObject> {
  readonly objects: ReadonlyMap<string, Kept>;
  /** False while the server does not know the resource, or does not show it to us. */
  readonly isPresent: boolean;
  /** Resolves once the first list is in. */
  readonly synced: Promise<void>;
  start(): void;
  stop(): Promise<void>;
  /** Takes the answer to a write over, unless the watch has come further by now and so has shown it, or its end. */
  learn(kept: Kept): void;
}

/** How often a resource is asked for that the server did not know. */
const unknownResourceMs = 60_000;

/** A watch that ends in an orderly way before this is no help. */
const shortWatchMs = 1000;

export function createReflector<Kept extends KubeObject>(
  kube: Pick<Kube, 'pages' | 'watch'>,
  options: ReflectorOptions<Kept>,
): Reflector<Kept> {
  const { type, trim, onChange, onFailure, onBug, onAbsent, absentOn = [], turn = (list) => list() } = options;
  const { baseDelayMs = 200, maxDelayMs = 30_000, inactivityMs = 120_000 } = options;
  const selection: Selection = { namespace: options.namespace, labelSelector: options.labelSelector };
  const objects = new Map<string, Kept>();
  const synced = Promise.withResolvers<void>();
  const stopping = new AbortController();
  let version: string | undefined;
  let isPresent = true;
  let failures = 0;
  let hasExpired = false;
  let failure: ApiError | undefined;
  let loop: Promise<void> | undefined;

  function put(key: string, after: Kept | undefined, isOwn = false): void {
    const before = objects.get(key);
    if (after === undefined) objects.delete(key);
    else objects.set(key, after);
    if (before === undefined && after === undefined) return;
    if (before?.metadata.resourceVersion === after?.metadata.resourceVersion) return;
    try {
      onChange({ key, before, after, isOwn });
    } catch (error) {
      onBug(error);
    }
  }

  async function list(): Promise<void> {
    if (stopping.signal.aborted) return;
    const unseen = new Set(objects.keys());
    let listed = '';
    for await (const { items, resourceVersion } of kube.pages(type, selection)) {
      for (const item of items) {
        const key = keyOf(item);
        unseen.delete(key);
        put(key, trim(item));
      }
      listed = resourceVersion;
    }
    for (const key of unseen) put(key, undefined);
    version = listed;
    isPresent = true;
    synced.resolve();
  }

  function onEvent({ type: what, object }: WatchEvent): void {
    if (what === 'ERROR') {
      const { code = 0, message = '' } = object as unknown as { code?: number; message?: string };
      failure = new ApiError(code, `watch of ${type.plural}: ${message}`);
      return;
    }
    failures = 0;
    hasExpired = false;
    version = object.metadata.resourceVersion ?? version;
    if (what === 'BOOKMARK') return;
    const key = keyOf(object);
    const known = objects.get(key);
    // The answer to a write of ours was faster.
    if (known !== undefined && isOlder(object, known)) return;
    put(key, what === 'DELETED' ? undefined : trim(object));
  }

  function learn(kept: Kept): void {
    if (version === undefined || !(Number(kept.metadata.resourceVersion) > Number(version))) return;
    put(keyOf(kept), kept, true);
  }

  async function watch(resourceVersion: string): Promise<void> {
    failure = undefined;
    const startedMs = performance.now();
    const timeoutSeconds = 240 + Math.floor(Math.random() * 120);
    await kube.watch(
      type,
      { ...selection, resourceVersion, timeoutSeconds, inactivityMs, signal: stopping.signal },
      onEvent,
    );
    if (failure !== undefined) throw failure;
    // A server or proxy that ends every watch at once must not be asked in a tight loop.
    if (performance.now() - startedMs < shortWatchMs) await pause(baseDelayMs * 5);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        if (version === undefined) await turn(list);
        else await watch(version);
      } catch (error) {
        await recover(error);
      }
    }
  }

  async function recover(error: unknown): Promise<void> {
    if (stopping.signal.aborted) return;
    if (isApiError(error, ...absentOn) && absentOn.length > 0 && error.status !== 410) {
      if (isPresent) onAbsent?.(error);
      isPresent = false;
      for (const key of [...objects.keys()]) put(key, undefined);
      version = undefined;
      synced.resolve();
      await pause(unknownResourceMs);
      return;
    }
    const isExpired = isApiError(error, 'gone') && error.status === 410;
    if (isExpired || (isApiError(error, 'gone') && version !== undefined)) version = undefined;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const backoffMs = Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(failures, 20)) * (0.5 + Math.random() / 2);
    // An expired version is listed anew at once, however long nobody answered before, unless that goes on and on.
    const delayMs = isExpired && !hasExpired ? 0 : Math.max(asked, backoffMs);
    hasExpired = isExpired;
    failures += 1;
    onFailure(error, delayMs);
    await pause(delayMs);
  }

  async function pause(ms: number): Promise<void> {
    if (ms > 0) await delay(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
  }

  return {
    objects,
    synced: synced.promise,
    learn,
    get isPresent() {
      return isPresent;
    },
    start: () => {
      loop ??= run();
    },
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}

/** Lets lists through one after the other, whatever becomes of the one before. */
export function createTurn(): Turn {
  let last: Promise<void> = Promise.resolve();
  return (list) => {
    const own = last.then(list);
    last = own.catch(() => undefined);
    return own;
  };
}

/** Versions of one resource are numbers that grow. */
function isOlder(one: KubeObject, other: KubeObject): boolean {
  return Number(one.metadata.resourceVersion) < Number(other.metadata.resourceVersion);
}
