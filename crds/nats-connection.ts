/** How the members of a group reach its bus, whether NATS belongs to the user or hydrogen runs it. */
import { managedNatsUrl } from './contract.ts';
import type { HydrogenGroup } from './resources.ts';
import { secretRefsIn } from './secret-refs.ts';
import type { SecretKeyRef } from './types/shared.ts';

type Nats = HydrogenGroup['spec']['nats'];

/** Who connects: rights on NATS are given to these. `commandLine` is a person with a login of their own. */
export type NatsRole = 'gateway' | 'processor' | 'operator' | 'commandLine';

/** A role that runs in pods. */
export type MemberRole = 'gateway' | 'processor';

/** The settings of a group that a connection to its NATS servers needs. */
export interface NatsConnectionSpec extends Pick<Nats, 'credentialsSecretRef' | 'tokenSecretRef' | 'tls'> {
  readonly servers: readonly string[];
}

/** How to connect. It stays the same while the servers of a managed group are scaled. */
export function natsConnectionOf({ metadata, spec }: HydrogenGroup, role: NatsRole): NatsConnectionSpec {
  const { servers, managed: _, gatewayCredentialsSecretRef, processorCredentialsSecretRef, ...login } = spec.nats;
  const own = { gateway: gatewayCredentialsSecretRef, processor: processorCredentialsSecretRef }[role as MemberRole];
  return {
    servers: servers ?? [managedNatsUrl(metadata.namespace, metadata.name)],
    ...login,
    ...(own && { credentialsSecretRef: own }),
  };
}

/** The secret keys of a group that the pods of a role need. */
export function groupSecretRefs(group: HydrogenGroup, role: MemberRole): SecretKeyRef[] {
  return secretRefsIn({ ...group.spec, nats: natsConnectionOf(group, role) });
}
