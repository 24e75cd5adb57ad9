/** The settings of the operator's connection to a group's NATS. */
import { type HydrogenGroup, natsConnectionOf, restartFacts } from '../../crds/index.ts';
import type { NatsGroupOptions } from '../../runtime/bus/nats/group.ts';
import type { ServerLimits } from '../../runtime/bus/nats/meter.ts';
import { natsOptionsOf, type ReadSecretKey } from '../../runtime/bus/options.ts';
import { digest } from '../digest.ts';

/**
 * One tenant's server must not exhaust the memory of an operator that works for all tenants. A page of 256 consumers is
 * about 250 kB; only many processors with `ordering: PerConnection` and many endpoints bring it close to a megabyte.
 */
const serverLimits: ServerLimits = {
  messageBytes: 4 * 1024 * 1024,
  burstBytes: 16 * 1024 * 1024,
  bytesPerSecond: 512 * 1024,
  unreadWrites: 1000,
};

/** The servers of a group, as addresses that work from another namespace. */
export function serversOf(group: HydrogenGroup): readonly string[] {
  return natsConnectionOf(group, 'operator').servers.map((server) => qualified(server, group.metadata.namespace));
}

/** Digest of everything that a connection depends on, including the settings of the streams. */
export function connectionDigest(group: HydrogenGroup, servers: readonly string[]): string {
  return digest([servers, restartFacts(group, 'operator')]);
}

/** The options of the connection. */
export function connectionOptions(
  group: HydrogenGroup,
  servers: readonly string[],
  read: ReadSecretKey,
): NatsGroupOptions {
  return { ...natsOptionsOf(group, 'operator', read), servers, clientName: 'hydrogen operator', serverLimits };
}

/**
 * The address of a server from another namespace: a bare name is that of a service in the group's own namespace.
 * `nats://nats:4222` in namespace `chat` becomes `nats://nats.chat.svc:4222`.
 */
export function qualified(server: string, namespace: string): string {
  const [, scheme = '', host = '', port = ''] =
    /^([a-z]+:\/\/(?:[^@/]*@)?)([a-z](?:[-a-z0-9]*[a-z0-9])?)(:\d+)?$/i.exec(server) ?? [];
  return host === '' || host === 'localhost' ? server : `${scheme}${host}.${namespace}.svc${port}`;
}
