/** Compiles the resource of a message processor into the settings of its worker, once per configuration. */

import type { HydrogenMessageProcessorSpec } from '../../crds/index.ts';
import { consumerOptionsOf } from '../bus/options.ts';
import type { ConsumerOptions } from '../bus/port/messages.ts';
import type { DispatcherLimits } from './limits.ts';
import { createRouter, type Router, type RouterDeps } from './router.ts';

/** The part of a HydrogenMessageProcessor that its worker reads. */
export interface ProcessorResource {
  readonly metadata: { readonly name: string };
  readonly spec: Pick<HydrogenMessageProcessorSpec, 'endpoints' | 'routing' | 'delivery'>;
}

export interface ProcessorSettings {
  readonly consumer: ConsumerOptions;
  readonly router: Router;
  readonly unmatched: 'DeadLetter' | 'Drop';
  readonly maxAttempts: number;
  /** Delay before attempt n + 1; the last one applies to all later attempts. */
  readonly backoffMs: readonly number[];
  /** Milliseconds after which a stored message becomes a dead letter although it has attempts left. */
  readonly maxWaitMs: number;
  readonly limits: DispatcherLimits;
}

/** The part of the stream's age limit after which a message becomes a dead letter, so that it is not deleted before. */
const ageShare = 0.9;

/**
 * @param maxAgeMs the age at which the stream deletes a message; Infinity: never
 * @throws {HydrogenError} HYD_CONFIG_INVALID
 */
export function compileSettings(resource: ProcessorResource, deps: RouterDeps, maxAgeMs: number): ProcessorSettings {
  const { routing, delivery } = resource.spec;
  const router = createRouter(routing, deps);
  const hasOthers = router.kind === 'engine' || router.destinations > 1;
  const { maxInFlight, maxInFlightPerDestination: share = hasOthers ? maxInFlight / 2 : maxInFlight } = delivery;
  return {
    consumer: consumerOptionsOf(resource),
    router,
    unmatched: routing.unmatched,
    maxAttempts: delivery.maxAttempts,
    backoffMs: delivery.backoffSeconds.map((seconds) => seconds * 1000),
    maxWaitMs: Math.min(delivery.maxWaitSeconds * 1000, maxAgeMs * ageShare),
    limits: {
      maxRunning: maxInFlight,
      maxRunningPerDestination: Math.max(1, Math.floor(Math.min(share, maxInFlight))),
      mayPark: delivery.ordering === 'Unordered',
      hasOthers,
    },
  };
}

/** True when both make the bus deliver the same messages in the same way. */
export function isSameConsumer(a: ConsumerOptions, b: ConsumerOptions): boolean {
  return (
    a.processor === b.processor &&
    a.ackTimeoutMs === b.ackTimeoutMs &&
    a.takeoverMs === b.takeoverMs &&
    a.ordering === b.ordering &&
    a.partitions === b.partitions &&
    JSON.stringify(a.endpoints) === JSON.stringify(b.endpoints)
  );
}
