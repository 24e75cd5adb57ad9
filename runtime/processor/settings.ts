/** From the resource of a message processor to what its process works with: compiled once per configuration. */

import type { Header, HydrogenMessageProcessorSpec } from '../../crds/index.ts';
import { consumerOptionsOf } from '../bus/options.ts';
import type { ConsumerOptions } from '../bus/port/messages.ts';
import { type Destination, prepareDestination } from '../http/services/destination.ts';
import { createTraceparent } from '../http/services/trace.ts';
import type { Router, RouterDeps } from '../route/route.ts';
import { createRouter } from './router.ts';

/** The part of a HydrogenMessageProcessor that its process reads. */
export interface ProcessorResource {
  readonly metadata: { readonly name: string };
  readonly spec: Pick<HydrogenMessageProcessorSpec, 'endpoints' | 'routing' | 'delivery'>;
}

/** Gives `[name, value, ...]`: the same array as long as no value changed. @throws {HydrogenError} HYD_SECRET_MISSING */
export type ResolveHeaders = (headers: readonly Header[]) => readonly string[];

export interface ProcessorSettings {
  readonly consumer: ConsumerOptions;
  readonly router: Router<Destination>;
  readonly unmatched: 'DeadLetter' | 'Drop';
  readonly maxAttempts: number;
  /** Delay before attempt n + 1; the last one goes on. */
  readonly backoffMs: readonly number[];
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID */
export function compileSettings(
  resource: ProcessorResource,
  resolveHeaders: ResolveHeaders,
  askEngine: RouterDeps<Destination>['ask'],
): ProcessorSettings {
  const { routing, delivery } = resource.spec;
  const traceparent = createTraceparent();
  const router = createRouter<Destination>(routing, {
    prepare: ({ url, headers, timeoutMs, reply }) =>
      prepareDestination({ url, headers: () => resolveHeaders(headers), timeoutMs, reply }, traceparent),
    ask: askEngine,
  });
  return {
    consumer: consumerOptionsOf(resource),
    router,
    unmatched: routing.unmatched,
    maxAttempts: delivery.maxAttempts,
    backoffMs: delivery.backoffSeconds.map((seconds) => seconds * 1000),
  };
}

/** Whether both make the bus deliver the same in the same way. */
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
