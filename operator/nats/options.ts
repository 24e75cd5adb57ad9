/** What the connection to a group's NATS is made from. */
import { busGroup } from '../../crds/contract.ts';
import { type HydrogenGroup, natsConnectionOf, parseQuantity, restartFacts } from '../../crds/index.ts';
import type { NatsGroupOptions } from '../../runtime/bus/nats/group.ts';
import { digest } from '../digest.ts';
import type { BusSecrets } from './secrets.ts';

/** A digest of it: with another one, another connection is made. */
export function connectionOf(group: HydrogenGroup, servers: readonly string[]): string {
  // The streams are settings of a connection as well: they are given when it is made.
  return digest([servers, restartFacts(group)]);
}

/** The options of the connection. @param read gives the value of a key of a secret, on every connection anew */
export function natsOptionsOf(
  group: HydrogenGroup,
  servers: readonly string[],
  read: BusSecrets['read'],
): NatsGroupOptions {
  const { stream, deadLetter, instanceLeaseSeconds } = group.spec;
  const { tls, credentialsSecretRef, tokenSecretRef } = natsConnectionOf(group);
  return {
    group: busGroup(group.metadata.namespace, group.metadata.name),
    servers,
    clientName: 'hydrogen operator',
    stream: {
      storage: stream.storage,
      replicas: stream.replicas,
      maxAgeMs: stream.maxAgeSeconds * 1000,
      maxBytes: parseQuantity(stream.maxBytes),
    },
    leaseMs: instanceLeaseSeconds * 1000,
    deadLetter: { maxAgeMs: deadLetter.maxAgeSeconds * 1000, maxBytes: parseQuantity(deadLetter.maxBytes) },
    authentication: async () => ({
      ...(credentialsSecretRef && { credentials: await read(credentialsSecretRef) }),
      ...(tokenSecretRef && { token: await read(tokenSecretRef) }),
    }),
    ...(tls && {
      tls: async () => ({
        ...(tls.caSecretRef && { ca: await read(tls.caSecretRef) }),
        ...(tls.certSecretRef && { cert: await read(tls.certSecretRef) }),
        ...(tls.keySecretRef && { key: await read(tls.keySecretRef) }),
      }),
    }),
  };
}
