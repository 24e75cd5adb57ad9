/**
 * How long a process may take from SIGTERM to its exit. Manifests grant it as the grace period of the pod, and the process
 * treats it as a deadline, so that the kubelet never has to kill one that is still storing messages.
 */
import { gatewayStopSeconds, processorStopSeconds } from './contract.ts';
import type { HydrogenGatewaySpec } from './types/gateway.ts';
import type { HydrogenMessageProcessorSpec } from './types/processor.ts';

/** Milliseconds of the grace period that a process leaves unused, so that it exits before the kubelet kills it. */
export const exitMarginMs = 1_000;

/** Seconds that a gateway has to stop. */
export function gatewayGraceSeconds({ drain }: Pick<HydrogenGatewaySpec, 'drain'>): number {
  return drain.periodSeconds + gatewayStopSeconds;
}

/** Seconds that a message processor has to stop. */
export function processorGraceSeconds(spec: Pick<HydrogenMessageProcessorSpec, 'routing'>): number {
  return longestDeliverySeconds(spec) + processorStopSeconds;
}

/** Maximum seconds that one attempt may take: the slowest rule, or the rules engine plus the destination it chooses. */
export function longestDeliverySeconds({ routing }: Pick<HydrogenMessageProcessorSpec, 'routing'>): number {
  const { rules = [], rulesEngine } = routing;
  const engine = rulesEngine ? rulesEngine.timeoutSeconds + rulesEngine.destinationTimeoutSeconds : 0;
  return Math.max(engine, ...rules.map(({ destination }) => destination.timeoutSeconds));
}
