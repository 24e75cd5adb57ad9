/** How the members of a group reach its bus, whether NATS belongs to the user or hydrogen runs it. */
import { managedNatsUrl } from './contract.ts';
import type { HydrogenGroup } from './resources.ts';

type Nats = HydrogenGroup['spec']['nats'];

/** The settings of a group that a connection to its NATS servers needs. */
export interface NatsConnectionSpec extends Pick<Nats, 'credentialsSecretRef' | 'tokenSecretRef' | 'tls'> {
  readonly servers: readonly string[];
}

/** How to connect. It stays the same while the servers of a managed group are scaled. */
export function natsConnectionOf({ metadata, spec }: HydrogenGroup): NatsConnectionSpec {
  const { servers, managed: _, ...login } = spec.nats;
  return { servers: servers ?? [managedNatsUrl(metadata.namespace, metadata.name)], ...login };
}
