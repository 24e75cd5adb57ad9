/**
 * Writes the status of an object if it differs from the live one; a condition keeps its transition time until its
 * status changes.
 */
import { type ConditionType, conditionTypes } from '../../crds/conditions.ts';
import type { Condition, Kind } from '../../crds/index.ts';
import { digest } from '../digest.ts';
import type { Kube } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import { conditionsIn, customTypes, type KubeObject } from '../kube/objects.ts';
import { conditionsOf } from './conditions.ts';
import type { Facts } from './facts.ts';
import { project } from './projection.ts';

export interface StatusWriter {
  /** Resolves with the conditions that are worth an event: `Ready` that became True, `Stalled` with a new reason. */
  write(object: KubeObject, facts: Facts, more: object): Promise<readonly Condition[]>;
}

export interface StatusWriterOptions {
  readonly kube: Pick<Kube, 'apply'>;
  /** Called with the object after a write, before any watch shows it: the next write is compared with it. */
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
        // The object is gone, or another one has its name by now: there is no status to write.
        if (isApiError(error, 'gone', 'conflict')) return [];
        throw error;
      }
      return conditions.filter((condition) => isWorthEvent(condition, previous));
    },
  };
}

function isWorthEvent({ type, status, reason }: Condition, previous: readonly Condition[]): boolean {
  const before = previous.find((condition) => condition.type === type);
  const is = (one: ConditionType): boolean => type === one && status === 'True';
  return (is('Ready') && before?.status !== 'True') || (is('Stalled') && before?.reason !== reason);
}

/** True if `live` has this status, and none of our conditions beyond it. */
function isThere(status: { readonly conditions: readonly Condition[] }, live: unknown): boolean {
  if (digest(project(status, live)) !== digest(status)) return false;
  const wanted: readonly string[] = status.conditions.map(({ type }) => type);
  const { conditions = [] } = (live ?? {}) as { readonly conditions?: readonly Condition[] };
  const ours: readonly string[] = conditionTypes;
  return conditions.every(({ type }) => wanted.includes(type) || !ours.includes(type));
}
