/** Events of objects, as `kubectl describe` shows them. A repeated event only increments a count, at most once a minute. */
import { randomBytes } from 'node:crypto';
import { digest } from '../digest.ts';
import type { Kube } from './client.ts';
import { isApiError } from './errors.ts';
import { eventType, type KubeObject } from './objects.ts';

export interface EventFacts {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  /** Truncated to 1,024 characters. */
  readonly note: string;
}

export interface Events {
  /** Records an event in the background; an event that cannot be recorded is lost. */
  record(object: KubeObject, event: EventFacts): void;
  /** Resolves when every recorded event is written or lost. */
  settled(): Promise<void>;
}

export interface EventsOptions {
  readonly kube: Pick<Kube, 'create' | 'merge'>;
  /** Name of this operator's pod. */
  readonly instance: string;
  readonly onFailure: (error: unknown) => void;
  readonly now?: () => Date;
}

interface Known {
  readonly name: string;
  readonly namespace: string;
  count: number;
  writtenAtMs: number;
}

const controller = 'hydrogen.dev/operator';
const longestNote = 1024;
const mostKnown = 2048;
const quietMs = 60_000;

export function createEvents({ kube, instance, onFailure, now = () => new Date() }: EventsOptions): Events {
  const known = new Map<string, Known>();
  const open = new Set<Promise<void>>();

  async function write(object: KubeObject, { type, reason, action, note }: EventFacts): Promise<void> {
    const { name, namespace = 'default', uid = '' } = object.metadata;
    const key = digest([uid, type, reason, note]);
    const time = now();
    const before = known.get(key);
    if (before !== undefined) {
      before.count += 1;
      if (time.getTime() - before.writtenAtMs < quietMs) return;
      before.writtenAtMs = time.getTime();
      const series = { count: before.count, lastObservedTime: microTime(time) };
      try {
        await kube.merge(eventType, before.namespace, before.name, { series });
        return;
      } catch (error) {
        // The server drops events after about an hour, so it is written as a new one.
        known.delete(key);
        if (!isApiError(error, 'gone')) throw error;
      }
    }
    const eventName = `${name}.${randomBytes(8).toString('hex')}`;
    known.set(key, { name: eventName, namespace, count: 1, writtenAtMs: time.getTime() });
    const [oldest] = known.keys();
    if (known.size > mostKnown && oldest !== undefined) known.delete(oldest);
    await kube.create(eventType, {
      apiVersion: eventType.apiVersion,
      kind: eventType.kind,
      metadata: { name: eventName, namespace },
      eventTime: microTime(time),
      type,
      reason,
      action,
      note: note.length > longestNote ? `${note.slice(0, longestNote - 3)}...` : note,
      reportingController: controller,
      reportingInstance: instance,
      regarding: { apiVersion: object.apiVersion, kind: object.kind, name, namespace, uid },
    });
  }

  return {
    record: (object, event) => {
      const writing = write(object, event)
        .catch(onFailure)
        .finally(() => open.delete(writing));
      open.add(writing);
    },
    settled: async () => {
      await Promise.all(open);
    },
  };
}

/** RFC 3339 with microseconds, as the API requires. */
export function microTime(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
