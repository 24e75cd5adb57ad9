/**
 * The groups' buses as the operator sees them: one connection a group, which makes the streams and consumers whenever
 * it comes up or their settings change, and carries no messages.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { busGroup } from '../crds/contract.ts';
import { type HydrogenGroup, type HydrogenMessageProcessor, natsConnectionOf, parseQuantity } from '../crds/index.ts';
import { createNatsGroup, type NatsGroup } from '../runtime/bus/nats-group.ts';
import { type BusSecrets, createBusSecrets } from './bus-secrets.ts';
import { messageOf } from './errors.ts';
import type { Kube } from './kube.ts';
import { isSameLag, type Lag } from './lag.ts';
import { digest } from './projection.ts';
import { type KubeObject, keyOf } from './resources.ts';
import type { BusFacts } from './status.ts';
import { groupKey } from './store.ts';

export interface Buses {
  /** Connects when needed, makes the streams when that is due unless it is paused, and tells how it stands. Never throws. */
  check(group: HydrogenGroup): Promise<BusFacts>;
  /** Makes the consumers of a processor when that is due. Resolves with what NATS has against it. */
  ensureConsumers(group: HydrogenGroup, processor: HydrogenMessageProcessor): Promise<string | undefined>;
  /** Removes the consumers of a processor; resolves with what keeps it from that, if anything does. */
  removeConsumers(group: HydrogenGroup, processor: string): Promise<string | undefined>;
  /** Removes the streams of a group; resolves with what keeps it from that, if anything does. */
  removeStreams(group: HydrogenGroup): Promise<string | undefined>;
  /** How far a processor is behind, as NATS has told last; undefined before it has. */
  lagOf(namespace: string, group: string, processor: KubeObject): Lag | undefined;
  /** A secret that the group names may have changed. */
  expireSecrets(groupKey: string): void;
  /** Disconnects from a group that is gone. */
  forget(namespace: string, group: string): Promise<void>;
  stop(): Promise<void>;
}

export interface BusesOptions {
  readonly kube: Pick<Kube, 'get'>;
  /** The state of a group's bus may have changed; `isNew`: what was made there must be looked at anew. */
  readonly onChange: (groupKey: string, isNew: boolean) => void;
  /** A processor is further behind than it was, or less far. */
  readonly onLag: (processorKey: string) => void;
  /** How often NATS is asked how far processors are behind. @default 30_000 */
  readonly lagMs?: number;
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
  readonly secrets: BusSecrets;
  /** While the streams are being made. */
  making: Promise<BusFacts> | undefined;
  streams: { readonly done: string; readonly facts: BusFacts; readonly atMs: number } | undefined;
  readonly consumers: Map<string, string>;
  /** By name of the processor. */
  readonly lags: Map<string, Lag>;
  readonly lagTimer: NodeJS.Timeout;
}

/** How long it is believed that something is wrong with the streams: somebody may have mended it. */
const recheckMs = 10_000;

/** How long a look at a group waits for its streams to be made. */
const patienceMs = 200;

/** How long after a connection was made NATS is asked for the first time how far processors are behind. */
const firstLagMs = 3000;

export function createBuses(options: BusesOptions): Buses {
  const { kube, onChange, onLag, onEvent, serversOf, lagMs = 30_000 } = options;
  const entries = new Map<string, Entry>();

  function open(group: HydrogenGroup): Entry {
    const { namespace, name } = group.metadata;
    const key = groupKey(namespace, name);
    const { stream, deadLetter, instanceLeaseSeconds } = group.spec;
    const { servers, tls, credentialsSecretRef, tokenSecretRef } = natsConnectionOf(group);
    const addresses = serversOf?.(group) ?? servers.map((server) => qualified(server, namespace));
    // The streams are settings of a connection as well: they are given when it is made.
    const connection = digest([
      addresses,
      tls,
      credentialsSecretRef,
      tokenSecretRef,
      stream,
      deadLetter,
      instanceLeaseSeconds,
    ]);
    const known = entries.get(key);
    if (known?.connection === connection) return known;
    if (known !== undefined) void close(known);

    const secrets = createBusSecrets(kube, namespace);
    const { read } = secrets;
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
      onEvent: ({ kind, detail, cause }) => {
        onEvent(busName, kind, cause === undefined ? detail : `${detail}: ${messageOf(cause)}`);
        if (kind !== 'connectFailed') return;
        // Which of its addresses was tried changes with each attempt, and is for the log.
        const failure = [addresses.join(', '), cause === undefined ? [] : messageOf(cause)].flat().join(': ');
        if (entry.failure === failure) return;
        entry.failure = failure;
        onChange(key, false);
      },
    });
    const entry: Entry = {
      nats,
      connection,
      epoch: 0,
      failure: undefined,
      secrets,
      making: undefined,
      streams: undefined,
      consumers: new Map(),
      lags: new Map(),
      lagTimer: setInterval(() => void readLags(entry, key, namespace), lagMs).unref(),
    };
    entries.set(key, entry);
    nats.onStatus((status) => {
      if (status === 'up') {
        entry.epoch += 1;
        entry.failure = undefined;
        // Soon after its consumers are made, rather than half a minute later.
        setTimeout(() => void readLags(entry, key, namespace), Math.min(lagMs, firstLagMs)).unref();
      }
      if (status !== 'stopped') onChange(key, status === 'up');
    });
    void nats.start();
    return entry;
  }

  async function close({ nats, lagTimer }: Entry): Promise<void> {
    clearInterval(lagTimer);
    await nats.stop();
  }

  async function readLags(entry: Entry, key: string, namespace: string): Promise<void> {
    const { nats, lags } = entry;
    if (nats.status !== 'up') return;
    try {
      const observedTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
      const found = await nats.lags();
      // Somebody has deleted a stream or a consumer: all of it is made again.
      if (entry.streams !== undefined && [...entry.consumers.keys()].some((name) => !found.has(name))) {
        entry.epoch += 1;
        entry.consumers.clear();
        onChange(key, true);
      }
      for (const [name, numbers] of found) {
        const lag = { ...numbers, observedTime };
        if (isSameLag(lags.get(name), lag)) continue;
        lags.set(name, lag);
        onLag(keyOf({ kind: 'HydrogenMessageProcessor', metadata: { name, namespace } }));
      }
    } catch (error) {
      onEvent(namespace, 'lagUnknown', messageOf(error));
    }
  }

  function downFacts({ failure, secrets: { problem } }: Entry): BusFacts {
    if (problem !== undefined) return { state: problem.isForbidden ? 'unchecked' : 'down', message: problem.message };
    return failure === undefined ? { state: 'connecting' } : { state: 'down', message: failure };
  }

  async function check(group: HydrogenGroup): Promise<BusFacts> {
    const entry = open(group);
    if (entry.nats.status !== 'up') return downFacts(entry);
    if (group.spec.paused) return entry.streams?.facts ?? { state: 'up' };
    const due = digest([entry.epoch, group.spec.stream, group.spec.deadLetter]);
    const known = entry.streams?.done === due ? entry.streams : undefined;
    const isOld = known !== undefined && known.facts.state !== 'up' && performance.now() - known.atMs > recheckMs;
    if (known !== undefined && !isOld) return known.facts;
    entry.making ??= makeStreams(entry, due, groupKey(group.metadata.namespace, group.metadata.name));
    const made = await Promise.race([entry.making, delay(patienceMs)]);
    // It goes on, and the group is looked at again when it is done: others must not wait for a JetStream that is silent.
    return made ?? entry.streams?.facts ?? { state: 'connecting' };
  }

  async function makeStreams(entry: Entry, due: string, key: string): Promise<BusFacts> {
    const startedMs = performance.now();
    let facts: BusFacts;
    try {
      const conflicts = await entry.nats.ensureStreams();
      const list = conflicts.map(
        ({ object, field, have, want }) =>
          `${object} has ${field} ${JSON.stringify(have)} and not ${JSON.stringify(want)}`,
      );
      facts = list.length === 0 ? { state: 'up' } : { state: 'conflict', message: list.join('; ') };
    } catch (error) {
      facts = { state: isUnreachable(error) ? 'down' : 'refused', message: messageOf(error) };
    }
    entry.making = undefined;
    entry.streams = { done: due, facts, atMs: performance.now() };
    if (performance.now() - startedMs > patienceMs) onChange(key, true);
    return facts;
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
    removeConsumers: (group, processor) => {
      const entry = open(group);
      return attempt(entry, async () => {
        await entry.nats.deleteConsumers(processor);
        entry.consumers.delete(processor);
        entry.lags.delete(processor);
      });
    },
    removeStreams: (group) => {
      const entry = open(group);
      return attempt(entry, async () => {
        await entry.nats.deleteStreams();
        entry.streams = undefined;
      });
    },
    lagOf: (namespace, group, { metadata }) => entries.get(groupKey(namespace, group))?.lags.get(metadata.name),
    expireSecrets: (key) => entries.get(key)?.secrets.expire(),
    forget: async (namespace, group) => {
      const key = groupKey(namespace, group);
      const entry = entries.get(key);
      entries.delete(key);
      if (entry !== undefined) await close(entry);
    },
    stop: async () => {
      await Promise.all([...entries.values()].map(close));
      entries.clear();
    },
  };
}

async function attempt({ nats }: Entry, remove: () => Promise<void>): Promise<string | undefined> {
  if (nats.status !== 'up') return 'it cannot be reached';
  try {
    await remove();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
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

/** Whether it is the connection that failed, and not JetStream that refused. */
function isUnreachable(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'HYD_BUS_UNREACHABLE';
}
