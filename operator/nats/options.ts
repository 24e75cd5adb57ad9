/** What the operator's connection to a group's NATS is made from. */
import { type HydrogenGroup, natsConnectionOf, restartFacts } from '../../crds/index.ts';
import type { NatsGroupOptions } from '../../runtime/bus/nats/group.ts';
import type { ServerLimits } from '../../runtime/bus/nats/meter.ts';
import { natsOptionsOf, type ReadSecretKey } from '../../runtime/bus/options.ts';
import { digest } from '../digest.ts';

/**
 * One server of a tenant must not take the memory of an operator that works for all. A page of 256 consumers is some
 * 250 kB; only those of many processors with `ordering: PerConnection` and many endpoints come near a megabyte.
 */
const serverLimits: ServerLimits = {
  messageBytes: 4 * 1024 * 1024,
  burstBytes: 16 * 1024 * 1024,
  bytesPerSecond: 512 * 1024,
  unreadWrites: 1000,
};

/** The servers of a group as they are reached from another namespace. */
export function serversOf(group: HydrogenGroup): readonly string[] {
  return natsConnectionOf(group).servers.map((server) => qualified(server, group.metadata.namespace));
}

/** Digest of everything that a connection is made with, the settings of the streams among it. */
export function connectionDigest(group: HydrogenGroup, servers: readonly string[]): string {
  return digest([servers, restartFacts(group)]);
}

/** The options of the connection. */
export function connectionOptions(
  group: HydrogenGroup,
  servers: readonly string[],
  read: ReadSecretKey,
): NatsGroupOptions {
  return { ...natsOptionsOf(group, read), servers, clientName: 'hydrogen operator', serverLimits };
}

/**
 * A server as it is reached from another namespace: a bare name is that of a service beside the group's pods.
 * `nats://nats:4222` of namespace `chat` is `nats://nats.chat.svc:4222`.
 */
export function qualified(server: string, namespace: string): string {
  const [, scheme = '', host = '', port = ''] =
    /^([a-z]+:\/\/(?:[^@/]*@)?)([a-z](?:[-a-z0-9]*[a-z0-9])?)(:\d+)?$/i.exec(server) ?? [];
  return host === '' || host === 'localhost' ? server : `${scheme}${host}.${namespace}.svc${port}`;
}
