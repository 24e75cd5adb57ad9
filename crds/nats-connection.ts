/** How the members of a group reach its bus: the same for NATS of the user's and for one that hydrogen runs. */
import { managedNatsUrl } from './contract.ts';
import type { HydrogenGroup } from './kinds.ts';

type Nats = HydrogenGroup['spec']['nats'];

/** Everything of a group that a connection to its NATS servers is made with. */
export interface NatsConnectionSpec extends Pick<Nats, 'credentialsSecretRef' | 'tokenSecretRef' | 'tls'> {
  readonly servers: readonly string[];
}

/** How to connect. It stays the same while the servers of a managed group are scaled. */
export function natsConnectionOf({ metadata, spec }: HydrogenGroup): NatsConnectionSpec {
  const { servers, managed: _, ...login } = spec.nats;
  return { servers: servers ?? [managedNatsUrl(metadata.namespace, metadata.name)], ...login };
}
