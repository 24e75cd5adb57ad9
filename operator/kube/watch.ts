/**
 * One watch: reads its events line by line until the server ends it, the connection is cut or falls silent, or it is
 * stopped.
 */
import { createInterface } from 'node:readline';

import { ApiError, messageOf } from './errors.ts';
import type { KubeObject, ResourceType } from './objects.ts';
import { type Selection, watchCall } from './requests.ts';
import type { Transport } from './transport.ts';

/** One line of a watch. */
export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubeObject;
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  /** The server ends the watch after this long. */
  readonly timeoutSeconds: number;
  /** Silence after which the connection counts as dead. Bookmarks come about once a minute. */
  readonly inactivityMs: number;
  readonly signal: AbortSignal;
}

/** How much longer than `timeoutSeconds` a watch may last when the server does not end it. */
const overtimeMs = 15_000;

/**
 * Resolves when the server ends the watch normally, or when `signal` or `closing` stops it.
 * @throws {ApiError} when it is refused or cut
 */
export async function watch(
  transport: Transport,
  type: ResourceType,
  options: WatchOptions,
  closing: AbortSignal,
  onEvent: (event: WatchEvent) => void,
): Promise<void> {
  const { resourceVersion, timeoutSeconds, inactivityMs, signal } = options;
  if (signal.aborted) return;
  const call = { ...watchCall(type, options, resourceVersion, timeoutSeconds), timeoutMs: inactivityMs };
  const ended = new AbortController();
  const abort = (): void => ended.abort();
  const limit = setTimeout(abort, timeoutSeconds * 1000 + overtimeMs);
  signal.addEventListener('abort', abort, { once: true });
  closing.addEventListener('abort', abort, { once: true });
  try {
    const response = await transport.send(call, ended.signal);
    let failure: unknown;
    response.on('error', (error) => {
      failure = error;
    });
    for await (const line of createInterface({ input: response })) {
      if (line !== '') onEvent(typed(JSON.parse(line) as WatchEvent, type)); // one event per line
    }
    if (failure !== undefined || !response.complete) throw failure ?? new Error('the connection was cut');
  } catch (cause) {
    if (signal.aborted) return;
    if (cause instanceof ApiError) throw cause;
    throw new ApiError(0, `watch of ${type.plural}: ${messageOf(cause)}`, { cause });
  } finally {
    clearTimeout(limit);
    signal.removeEventListener('abort', abort);
    closing.removeEventListener('abort', abort);
  }
}

/** Metadata-only objects come with a kind of their own. */
function typed(event: WatchEvent, { isMetadataOnly, apiVersion, kind }: ResourceType): WatchEvent {
  if (!isMetadataOnly || event.type === 'ERROR') return event;
  return { type: event.type, object: { ...event.object, apiVersion, kind } };
}
