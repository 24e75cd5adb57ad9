/**
 * The groups' buses as the operator sees them: one connection a group, which makes the streams and consumers whenever
 * it comes up or their settings change, and carries no messages.
 */
import { busGroup } from '../crds/contract.ts';
import { type HydrogenGroup, type HydrogenMessageProcessor, natsConnectionOf, parseQuantity } from '../crds/index.ts';
import { createNatsGroup, type NatsGroup } from '../runtime/bus/nats-group.ts';
import { isApiError, messageOf } from './errors.ts';
import type { Kube } from './kube.ts';
import { digest } from './projection.ts';
import { secretType } from './resources.ts';
import type { BusFacts } from './status.ts';
import { groupKey } from './store.ts';

export interface Buses {
  /** Connects when needed, makes the streams when that is due unless it is paused, and tells how it stands. Never throws. */
  check(group: HydrogenGroup): Promise<BusFacts>;
  /** Makes the consumers of a processor when that is due. Resolves with what NATS has against it. */
  ensureConsumers(group: HydrogenGroup, processor: HydrogenMessageProcessor): Promise<string | undefined>;
  /** Removes the consumers of a processor; resolves with false while NATS cannot be reached. */
  removeConsumers(group: HydrogenGroup, processor: string): Promise<boolean>;
  /** Removes the streams of a group; resolves with false while NATS cannot be reached. */
  removeStreams(group: HydrogenGroup): Promise<boolean>;
  /** Disconnects from a group that is gone. */
  forget(namespace: string, group: string): Promise<void>;
  stop(): Promise<void>;
}

export interface BusesOptions {
  readonly kube: Pick<Kube, 'get'>;
  /** The state of a group's bus may have changed. */
  readonly onChange: (groupKey: string) => void;
  readonly onEvent: (group: string, event: string, detail: string) => void;
  /** Servers instead of those of the document: for an operator outside of the cluster. */
  readonly serversOf?: (group: HydrogenGroup) => readonly string[];
}

interface Entry {
  readonly nats: NatsGroup;
  readonly connection: string;
  /** Grows with every connection: what was made is checked again on a new one. */
  epoch: number;
  /** What the last attempt to connect failed with; undefined before the first has failed. */
  failure: string | undefined;
  /** Why a secret could not be read, when, and whether only a right is missing. */
  secretProblem: { readonly error: Error; readonly atMs: number; readonly isForbidden: boolean } | undefined;
  streams: { readonly done: string; readonly facts: BusFacts } | undefined;
  readonly consumers: Map<string, string>;
}

/** How long an unreadable secret is not asked for again. */
const secretRetryMs = 30_000;

export function createBuses({ kube, onChange, onEvent, serversOf }: BusesOptions): Buses {
  const entries = new Map<string, Entry>();

  function open(group: HydrogenGroup): Entry {
    const { namespace, name } = group.metadata;
    const key = groupKey(namespace, name);
    const { stream, deadLetter } = group.spec;
    const { servers, tls, credentialsSecretRef, tokenSecretRef } = natsConnectionOf(group);
    const addresses = serversOf?.(group) ?? servers;
    // The streams are settings of a connection as well: they are given when it is made.
    const connection = digest([addresses, tls, credentialsSecretRef, tokenSecretRef, stream, deadLetter]);
    const known = entries.get(key);
    if (known?.connection === connection) return known;
    if (known !== undefined) void known.nats.stop();

    const read = async (ref: { readonly name: string; readonly key: string }): Promise<string> => {
      const known = entry.secretProblem;
      // Connections are tried every other second; the API server is not asked that often.
      if (known !== undefined && performance.now() - known.atMs < secretRetryMs) throw known.error;
      try {
        const value = await readSecret(kube, namespace, ref);
        entry.secretProblem = undefined;
        return value;
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(messageOf(cause));
        const isForbidden = isApiError(error.cause, 'forbidden');
        entry.secretProblem = { error, atMs: performance.now(), isForbidden };
        throw error;
      }
    };
    const busName = busGroup(namespace, name);
    const nats = createNatsGroup({
      group: busName,
      servers: addresses,
      clientName: 'hydrogen operator',
      stream: {
        storage: stream.storage,
        replicas: stream.replicas,
        maxAgeMs: stream.maxAgeSeconds * 1000,
        maxBytes: parseQuantity(stream.maxBytes),
      },
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
      onEvent: ({ kind, detail }) => {
        onEvent(busName, kind, detail);
        if (kind !== 'connectFailed' || entry.failure === detail) return;
        entry.failure = detail;
        onChange(key);
      },
    });
    const entry: Entry = {
      nats,
      connection,
      epoch: 0,
      failure: undefined,
      secretProblem: undefined,
      streams: undefined,
      consumers: new Map(),
    };
    entries.set(key, entry);
    nats.onStatus((status) => {
      if (status === 'up') {
        entry.epoch += 1;
        entry.failure = undefined;
      }
      if (status !== 'stopped') onChange(key);
    });
    void nats.start();
    return entry;
  }

  function downFacts({ failure, secretProblem }: Entry): BusFacts {
    if (secretProblem !== undefined) {
      return { state: secretProblem.isForbidden ? 'unchecked' : 'down', message: secretProblem.error.message };
    }
    return failure === undefined ? { state: 'connecting' } : { state: 'down', message: failure };
  }

  async function check(group: HydrogenGroup): Promise<BusFacts> {
    const entry = open(group);
    if (entry.nats.status !== 'up') return downFacts(entry);
    if (group.spec.paused) return entry.streams?.facts ?? { state: 'up' };
    const due = digest([entry.epoch, group.spec.stream, group.spec.deadLetter]);
    if (entry.streams?.done === due) return entry.streams.facts;
    try {
      const conflicts = await entry.nats.ensureStreams();
      const list = conflicts.map(
        ({ object, field, have, want }) =>
          `${object} has ${field} ${JSON.stringify(have)} and not ${JSON.stringify(want)}`,
      );
      const facts: BusFacts = list.length === 0 ? { state: 'up' } : { state: 'conflict', message: list.join('; ') };
      entry.streams = { done: due, facts };
      return facts;
    } catch (error) {
      return isUnreachable(error)
        ? { state: 'down', message: messageOf(error) }
        : { state: 'refused', message: messageOf(error) };
    }
  }

  return {
    check,
    ensureConsumers: async (group, { metadata, spec }) => {
      const bus = await check(group);
      // Without streams there is nothing to consume; the group's own condition says why.
      if (bus.state !== 'up' && bus.state !== 'conflict') return undefined;
      const entry = open(group);
      const { endpoints, delivery } = spec;
      const options = {
        processor: metadata.name,
        endpoints,
        ackTimeoutMs: delivery.ackTimeoutSeconds * 1000,
        maxInFlight: delivery.maxInFlight,
        ordering: delivery.ordering,
        partitions: delivery.partitions,
      };
      const due = digest([entry.epoch, options]);
      if (entry.consumers.get(metadata.name) === due) return undefined;
      try {
        await entry.nats.ensureConsumers(options);
        entry.consumers.set(metadata.name, due);
        return undefined;
      } catch (error) {
        return messageOf(error);
      }
    },
    removeConsumers: async (group, processor) => {
      const entry = open(group);
      if (entry.nats.status !== 'up') return false;
      await entry.nats.deleteConsumers(processor);
      entry.consumers.delete(processor);
      return true;
    },
    removeStreams: async (group) => {
      const entry = open(group);
      if (entry.nats.status !== 'up') return false;
      await entry.nats.deleteStreams();
      entry.streams = undefined;
      return true;
    },
    forget: async (namespace, group) => {
      const key = groupKey(namespace, group);
      const entry = entries.get(key);
      entries.delete(key);
      await entry?.nats.stop();
    },
    stop: async () => {
      await Promise.all([...entries.values()].map(({ nats }) => nats.stop()));
      entries.clear();
    },
  };
}

/** The value of one key. @throws with what to do about it */
async function readSecret(
  kube: Pick<Kube, 'get'>,
  namespace: string,
  { name, key }: { readonly name: string; readonly key: string },
): Promise<string> {
  let secret: Awaited<ReturnType<Kube['get']>>;
  try {
    secret = await kube.get(secretType, namespace, name);
  } catch (cause) {
    if (!isApiError(cause, 'forbidden')) throw cause;
    const advice = `grant its service account get on this one secret (a Role with resourceNames) to have the bus checked`;
    throw new Error(`the operator may not read Secret/${name}; ${advice}`, { cause });
  }
  if (secret === undefined)
    throw new Error(`there is no Secret/${name} in this namespace; create it with the key ${key}`);
  const value = (secret.data as Record<string, string> | undefined)?.[key];
  if (value === undefined) throw new Error(`Secret/${name} has no key ${key}; add it or correct the reference`);
  return Buffer.from(value, 'base64').toString('utf8');
}

/** Whether it is the connection that failed, and not JetStream that refused. */
function isUnreachable(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'HYD_BUS_UNREACHABLE';
}
