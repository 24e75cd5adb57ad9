/** Writes `status`, when it differs from what is there, and remembers when conditions changed. */
import type { Condition, Kind } from '../crds/index.ts';
import { isApiError } from './errors.ts';
import type { Kube } from './kube.ts';
import { conditionsIn } from './observe.ts';
import { digest, project } from './projection.ts';
import { customTypes, type KubeObject } from './resources.ts';
import { conditionsOf, type Facts } from './status.ts';

export interface StatusWriter {
  /** Resolves with the conditions worth an event: `Ready` turned true, `Stalled` set for another reason. */
  write(object: KubeObject, facts: Facts, more: object): Promise<readonly Condition[]>;
  forget(uid: string): void;
}

export function createStatusWriter(kube: Kube, now: () => Date = () => new Date()): StatusWriter {
  /** What was written last: the watch may not have shown it yet. */
  const written = new Map<string, readonly Condition[]>();

  return {
    write: async (object, facts, more) => {
      const { apiVersion, kind, metadata } = object;
      const { name, namespace, uid = '' } = metadata;
      const previous = written.get(uid) ?? conditionsIn(object);
      const time = now()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z');
      const conditions = conditionsOf(facts, previous, time);
      const status = { ...more, observedGeneration: facts.generation, conditions };
      if (isThere(status, object.status)) {
        written.delete(uid);
        return [];
      }
      written.set(uid, conditions);
      try {
        const body = {
          apiVersion,
          kind,
          metadata: { name, ...(namespace !== undefined && { namespace }), uid },
          status,
        };
        await kube.apply(customTypes[kind as Kind], body, { subresource: 'status' });
      } catch (error) {
        written.delete(uid);
        // It is gone, or another one has its name by now: there is nobody to report to.
        if (isApiError(error, 'gone', 'conflict')) return [];
        throw error;
      }
      return conditions.filter(({ type, status: value, reason }) => {
        const before = previous.find((condition) => condition.type === type);
        if (value !== 'True') return false;
        return type === 'Ready' ? before?.status !== 'True' : type === 'Stalled' && before?.reason !== reason;
      });
    },
    forget: (uid) => void written.delete(uid),
  };
}

/** Whether `live` holds this status, and none of our conditions beyond it. */
function isThere(status: { readonly conditions: readonly Condition[] }, live: unknown): boolean {
  if (digest(project(status, live)) !== digest(status)) return false;
  const types = ((live as { conditions?: readonly Condition[] } | undefined)?.conditions ?? []).map(({ type }) => type);
  const wanted = status.conditions.map(({ type }) => type);
  return ['Reconciling', 'Stalled', 'Deleting', 'BusReachable', 'Available', 'RollingOut', 'GroupReady'].every(
    (type) => !types.includes(type) || wanted.includes(type),
  );
}
