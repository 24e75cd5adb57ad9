/**
 * Derives the options of a bus from documents. Gateways, message processors and the operator all use these functions:
 * if they read a document in different ways, pods and operator would keep changing each other's streams and consumers.
 */

import { busGroup } from '../../crds/contract.ts';
import {
  type HydrogenGroup,
  type HydrogenMessageProcessorSpec,
  type NatsRole,
  natsConnectionOf,
  parseQuantity,
  type SecretKeyRef,
} from '../../crds/index.ts';
import type { NatsBusOptions } from './nats/nats.ts';
import type { ConsumerOptions } from './port/messages.ts';

/** Reads the value of a secret's key; called again for every connection. */
export type ReadSecretKey = (ref: SecretKeyRef) => string | Promise<string>;

/** The age in milliseconds at which a group's stream deletes a message that was not consumed. */
export function maxAgeMsOf(group: HydrogenGroup): number {
  return group.spec.stream.maxAgeSeconds * 1000;
}

/** How a group's bus is reached and set up on NATS by a role, except for `clientName`. */
export function natsOptionsOf(
  group: HydrogenGroup,
  role: NatsRole,
  read: ReadSecretKey,
): Omit<NatsBusOptions, 'clientName'> {
  const { stream, deadLetter, instanceLeaseSeconds } = group.spec;
  const { servers, tls, credentialsSecretRef, tokenSecretRef } = natsConnectionOf(group, role);
  return {
    group: busGroup(group.metadata.namespace, group.metadata.name),
    servers,
    inboxPrefix: `_INBOX.${role}`,
    stream: {
      storage: stream.storage,
      replicas: stream.replicas,
      maxAgeMs: maxAgeMsOf(group),
      maxBytes: parseQuantity(stream.maxBytes),
    },
    deadLetter: { maxAgeMs: deadLetter.maxAgeSeconds * 1000, maxBytes: parseQuantity(deadLetter.maxBytes) },
    leaseMs: instanceLeaseSeconds * 1000,
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

/** The part of a HydrogenMessageProcessor that determines its consumers. */
export interface ConsumerDocument {
  readonly metadata: { readonly name: string };
  readonly spec: Pick<HydrogenMessageProcessorSpec, 'endpoints' | 'delivery'>;
}

/** Which messages a message processor gets, and how. */
export function consumerOptionsOf({ metadata, spec: { endpoints, delivery } }: ConsumerDocument): ConsumerOptions {
  return {
    processor: metadata.name,
    endpoints,
    ackTimeoutMs: delivery.ackTimeoutSeconds * 1000,
    takeoverMs: delivery.takeoverSeconds * 1000,
    maxInFlight: delivery.maxInFlight,
    ordering: delivery.ordering,
    partitions: delivery.partitions,
  };
}
