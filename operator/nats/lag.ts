/** The lag of a message processor, as in `status.lag`: written only when the numbers have changed. */
import type { HydrogenMessageProcessorStatus } from '../../crds/index.ts';
import type { ProcessorLag } from '../../runtime/bus/nats/group.ts';
import type { KubeObject } from '../kube/objects.ts';

export type LagStatus = NonNullable<HydrogenMessageProcessorStatus['lag']>;

/** Messages, estimated for entries. @param messagesPerEntry how many an entry holds on average */
export function lagStatusOf(lag: ProcessorLag, messagesPerEntry: number, observedTime: string): LagStatus {
  return {
    pendingMessages: lag.pendingMessages + Math.round(lag.pendingEntries * messagesPerEntry),
    unacknowledgedMessages: lag.unacknowledgedMessages + Math.round(lag.unacknowledgedEntries * messagesPerEntry),
    observedTime,
  };
}

/**
 * The part of a status that contains the lag. The object's present value stays while nothing newer is known, for example
 * after a restart of the operator, and while the numbers are the same: otherwise the time alone would cause writes.
 */
export function lagIn({ kind, status }: KubeObject, measured: LagStatus | undefined): { readonly lag?: LagStatus } {
  if (kind !== 'HydrogenMessageProcessor') return {};
  const written = (status as HydrogenMessageProcessorStatus | undefined)?.lag;
  const lag = measured === undefined || isSameLag(written, measured) ? written : measured;
  return lag === undefined ? {} : { lag };
}

/** Whether the numbers are the same, no matter when they were read. */
export function isSameLag(a: LagStatus | undefined, b: LagStatus | undefined): boolean {
  return a?.pendingMessages === b?.pendingMessages && a?.unacknowledgedMessages === b?.unacknowledgedMessages;
}
