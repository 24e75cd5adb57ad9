/** The status of an object according to kstatus, by which Flux and kpt wait. */
import type { Condition } from '../../crds/index.ts';

/** The part of an object that kstatus reads. */
export interface Reported {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly generation: number; readonly deletionTimestamp?: string };
  readonly status?: { readonly observedGeneration?: number; readonly conditions?: readonly Condition[] };
}

/**
 * The rule of kstatus for kinds that it does not know, in the order of its code: deletion, generation, the pair, Ready.
 * https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md, status/generic.go and
 * status/status.go
 */
export function kstatus(object: Reported): 'Terminating' | 'InProgress' | 'Failed' | 'Current' {
  const { metadata, status } = object;
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation) {
    return 'InProgress';
  }
  for (const { type, status: value } of status?.conditions ?? []) {
    if (type === 'Reconciling' && value === 'True') return 'InProgress';
    if (type === 'Stalled' && value === 'True') return 'Failed';
  }
  const ready = reportedCondition(object, 'Ready');
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress';
}

/** The condition of this type, if the object has it. */
export function reportedCondition({ status }: Reported, type: string): Condition | undefined {
  return status?.conditions?.find((one) => one.type === type);
}

/** Whether the object has the condition and it is True. */
export function isTrue(object: Reported, type: string): boolean {
  return reportedCondition(object, type)?.status === 'True';
}
