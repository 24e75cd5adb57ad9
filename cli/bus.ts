/** The bus of a group as its document describes it. */

import type { Logger } from 'pino';
import { busGroup } from '../crds/contract.ts';
import { type HydrogenGroup, parseQuantity } from '../crds/index.ts';
import { createNatsBus, type NatsAuthentication, type NatsTls } from '../runtime/bus/nats.ts';
import type { Bus } from '../runtime/bus/port.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { createLog } from '../runtime/log.ts';
import type { Secrets } from '../runtime/secrets.ts';

export interface GroupBusOptions {
  readonly secrets: Secrets;
  readonly logger: Logger;
  /** What the NATS server shows for this client. */
  readonly name: string;
  /** Instead of the group's. */
  readonly servers?: readonly string[];
}

/** Credentials and certificates are read again on every connection. @throws {HydrogenError} HYD_CONFIG_INVALID */
export function createGroupBus(group: HydrogenGroup, options: GroupBusOptions): Bus {
  const { nats, stream, deadLetter, instanceLeaseSeconds } = group.spec;
  const servers = options.servers ?? nats.servers;
  if (servers === undefined) {
    throw new HydrogenError('HYD_CONFIG_INVALID', `HydrogenGroup/${group.metadata.name}: spec.nats.servers is missing`);
  }
  const name = busGroup(group.metadata.namespace, group.metadata.name);
  const log = createLog(options.logger, { group: name });
  const { secrets } = options;
  const { tls, credentialsSecretRef, tokenSecretRef } = nats;
  return createNatsBus({
    group: name,
    servers,
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
