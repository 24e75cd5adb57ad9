/** How far a message processor is behind, as `status.lag` tells it: written when the numbers have changed, not before. */
import type { HydrogenMessageProcessorStatus } from '../../crds/index.ts';
import type { KubeObject } from '../kube/objects.ts';

export type Lag = NonNullable<HydrogenMessageProcessorStatus['lag']>;

/**
 * The part of a status that tells the lag. What the object has stays while nothing newer is known, as after a restart of
 * the operator, and while the numbers are the same: else a status would be written for the time alone.
 */
export function lagIn({ kind, status }: KubeObject, measured: Lag | undefined): { readonly lag?: Lag } {
  if (kind !== 'HydrogenMessageProcessor') return {};
  const told = (status as HydrogenMessageProcessorStatus | undefined)?.lag;
  const lag = measured === undefined || isSameLag(told, measured) ? told : measured;
  return lag === undefined ? {} : { lag };
}

/** Whether the numbers are the same, whenever they were read. */
export function isSameLag(a: Lag | undefined, b: Lag | undefined): boolean {
  return a?.pendingMessages === b?.pendingMessages && a?.unacknowledgedMessages === b?.unacknowledgedMessages;
}
