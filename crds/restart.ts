/** The settings of a group that a running member cannot take over, because its connection to the bus depends on them. */

import { type NatsRole, natsConnectionOf } from './nats-connection.ts';
import type { HydrogenGroup } from './resources.ts';

/**
 * The values by field path. When one changes, running processes log it and the manifests restart pods; both use this
 * list, so that they agree.
 */
export function restartFacts(group: HydrogenGroup, role: NatsRole): Readonly<Record<string, unknown>> {
  const { stream, deadLetter, instanceLeaseSeconds, signing } = group.spec;
  const { deletionPolicy: _, ...kept } = stream; // the operator alone acts on it
  return {
    'spec.nats': natsConnectionOf(group, role),
    'spec.stream': kept,
    'spec.deadLetter': deadLetter,
    'spec.instanceLeaseSeconds': instanceLeaseSeconds,
    ...(signing && { 'spec.signing': signing }),
  };
}
