/** How far a message processor is behind, as `status.lag` shows it: written only when the numbers have changed. */
import type { HydrogenMessageProcessorStatus } from '../../crds/index.ts';
import type { KubeObject } from '../kube/objects.ts';

export type LagStatus = NonNullable<HydrogenMessageProcessorStatus['lag']>;

/**
 * The part of a status that holds the lag. What the object has stays while nothing newer is known, as after a restart of
 * the operator, and while the numbers are the same: otherwise a status would be written for the time alone.
 */
export function lagIn({ kind, status }: KubeObject, measured: LagStatus | undefined): { readonly lag?: LagStatus } {
  if (kind !== 'HydrogenMessageProcessor') return {};
  const written = (status as HydrogenMessageProcessorStatus | undefined)?.lag;
  const lag = measured === undefined || isSameLag(written, measured) ? written : measured;
  return lag === undefined ? {} : { lag };
}

/** Whether the numbers are the same, whenever they were read. */
export function isSameLag(a: LagStatus | undefined, b: LagStatus | undefined): boolean {
  return a?.pendingMessages === b?.pendingMessages && a?.unacknowledgedMessages === b?.unacknowledgedMessages;
}
