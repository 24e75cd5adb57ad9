/** The bus of a group as its document describes it. */

import type { Logger } from 'pino';
import { busGroup } from '../crds/contract.ts';
import { type HydrogenGroup, natsConnectionOf, parseQuantity } from '../crds/index.ts';
import { createNatsBus, type NatsAuthentication, type NatsTls } from '../runtime/bus/nats/nats.ts';
import type { Bus } from '../runtime/bus/port/bus.ts';
import { createRoleLog } from '../runtime/role/log.ts';
import type { MountedSecrets } from '../runtime/role/secrets.ts';

export interface GroupBusOptions {
  readonly secrets: MountedSecrets;
  readonly logger: Logger;
  /** The name of this client in NATS. */
  readonly name: string;
  /** Used instead of the group's servers. */
  readonly servers?: readonly string[];
}

/** Credentials and certificates are read again on every connection. */
export function createGroupBus(group: HydrogenGroup, options: GroupBusOptions): Bus {
  const { stream, deadLetter, instanceLeaseSeconds } = group.spec;
  const { servers, tls, credentialsSecretRef, tokenSecretRef } = natsConnectionOf(group);
  const name = busGroup(group.metadata.namespace, group.metadata.name);
  const log = createRoleLog(options.logger, { group: name });
  const { secrets } = options;
  return createNatsBus({
    group: name,
    servers: options.servers ?? servers,
    clientName: `hydrogen ${options.name}`,
    stream: {
      storage: stream.storage,
      replicas: stream.replicas,
      maxAgeMs: stream.maxAgeSeconds * 1000,
      maxBytes: parseQuantity(stream.maxBytes),
    },
    deadLetter: { maxAgeMs: deadLetter.maxAgeSeconds * 1000, maxBytes: parseQuantity(deadLetter.maxBytes) },
    leaseMs: instanceLeaseSeconds * 1000,
    authentication: (): NatsAuthentication => ({
      ...(credentialsSecretRef && { credentials: secrets.read(credentialsSecretRef) }),
      ...(tokenSecretRef && { token: secrets.read(tokenSecretRef) }),
    }),
    ...(tls && {
      tls: (): NatsTls => ({
        ...(tls.caSecretRef && { ca: secrets.read(tls.caSecretRef) }),
        ...(tls.certSecretRef && { cert: secrets.read(tls.certSecretRef) }),
        ...(tls.keySecretRef && { key: secrets.read(tls.keySecretRef) }),
      }),
    }),
    onEvent: ({ kind, detail, cause }) => log.busEvent({ event: kind, detail, err: cause }),
  });
}
