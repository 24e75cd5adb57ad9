/** Writes `status` when it differs from what is there; a condition keeps its time until it turns. */
import type { Condition, Kind } from '../../crds/index.ts';
import { digest, project } from '../children/projection.ts';
import type { Kube } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import { customTypes, type KubeObject } from '../kube/objects.ts';
import { conditionsOf } from './conditions.ts';
import type { Facts } from './facts.ts';
import { conditionsIn } from './workload.ts';

export interface StatusWriter {
  /** Resolves with the conditions worth an event: `Ready` turned true, `Stalled` set for another reason. */
  write(object: KubeObject, facts: Facts, more: object): Promise<readonly Condition[]>;
}

export interface StatusWriterOptions {
  readonly kube: Pick<Kube, 'apply'>;
  /** Called with the object as it is after a write, which no watch has shown yet: the next write compares with it. */
  readonly onWritten: (object: KubeObject) => void;
  readonly now?: () => Date;
}

export function createStatusWriter({ kube, onWritten, now = () => new Date() }: StatusWriterOptions): StatusWriter {
  return {
    write: async (object, facts, more) => {
      const { apiVersion, kind, metadata } = object;
      const { name, namespace, uid } = metadata;
      const previous = conditionsIn(object);
      const time = now()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z');
      const conditions = conditionsOf(facts, previous, time);
      const status = { ...more, observedGeneration: facts.generation, conditions };
      if (isThere(status, object.status)) return [];
      try {
        const body = {
          apiVersion,
          kind,
          metadata: { name, ...(namespace !== undefined && { namespace }), ...(uid !== undefined && { uid }) },
          status,
        };
        onWritten(await kube.apply(customTypes[kind as Kind], body, { subresource: 'status' }));
      } catch (error) {
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
