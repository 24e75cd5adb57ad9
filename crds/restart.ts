/** What of a group a running member cannot take over: the bus that it is connected to was made from it. */
import type { HydrogenGroup } from './kinds.ts';
import { natsConnectionOf } from './nats-connection.ts';

/**
 * The values by the path of their field. Processes report a change of them, manifests restart pods for it; both ask here,
 * so that neither misses what the other sees.
 */
export function restartFacts(group: HydrogenGroup): Readonly<Record<string, unknown>> {
  const { stream, deadLetter, instanceLeaseSeconds } = group.spec;
  const { deletionPolicy: _, ...kept } = stream; // what happens at the end is nothing to a member
  return {
    'spec.nats': natsConnectionOf(group),
    'spec.stream': kept,
    'spec.deadLetter': deadLetter,
    'spec.instanceLeaseSeconds': instanceLeaseSeconds,
  };
}
