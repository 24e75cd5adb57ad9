/** Compiles the resource of a message processor into the settings of its worker, once per configuration. */

import type { HydrogenMessageProcessorSpec } from '../../crds/index.ts';
import { consumerOptionsOf } from '../bus/options.ts';
import type { ConsumerOptions } from '../bus/port/messages.ts';
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
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID */
export function compileSettings(resource: ProcessorResource, deps: RouterDeps): ProcessorSettings {
  const { routing, delivery } = resource.spec;
  return {
    consumer: consumerOptionsOf(resource),
    router: createRouter(routing, deps),
    unmatched: routing.unmatched,
    maxAttempts: delivery.maxAttempts,
    backoffMs: delivery.backoffSeconds.map((seconds) => seconds * 1000),
  };
}

/** True when both make the bus deliver the same messages in the same way. */
export function isSameConsumer(a: ConsumerOptions, b: ConsumerOptions): boolean {
  return (
    a.processor === b.processor &&
    a.ackTimeoutMs === b.ackTimeoutMs &&
    a.maxInFlight === b.maxInFlight &&
    a.ordering === b.ordering &&
    a.partitions === b.partitions &&
    JSON.stringify(a.endpoints) === JSON.stringify(b.endpoints)
  );
}
