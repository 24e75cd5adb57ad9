/** The groups' buses: one connection for each group, made anew when its settings change. */
import { type HydrogenGroup, type HydrogenMessageProcessor, natsConnectionOf } from '../../crds/index.ts';
import type { Kube } from '../kube/client.ts';
import { groupKey, keyOf } from '../kube/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { BusFacts } from '../status/facts.ts';
import type { Lag } from './lag.ts';
import { connectionOf } from './options.ts';
import { type Bus, createBus } from './reconciler.ts';

/** None of it throws. What it resolves with is what stands in the way, for a person to read; undefined: nothing does. */
export interface Buses {
  /** Connects when needed, makes the streams when that is due unless the group is paused, and tells how it stands. */
  check(group: HydrogenGroup): Promise<BusFacts>;
  /** How it stands, without making anything there: for a group that is being deleted. */
  look(group: HydrogenGroup): BusFacts;
  /** Makes the consumers of a processor when that is due. */
  ensureConsumers(group: HydrogenGroup, processor: HydrogenMessageProcessor): Promise<string | undefined>;
  /** Removes the consumers of a processor, over the connection that there is: the group may be invalid by now. */
  removeConsumers(namespace: string, group: string, processor: string): Promise<string | undefined>;
  /** Removes the streams of a group, over the connection that there is as well. */
  removeStreams(namespace: string, group: string): Promise<string | undefined>;
  /** Whether the NATS of a group has been out of reach for so long that it may be gone for good. */
  isGone(namespace: string, group: string): boolean;
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
  /** A processor is further behind than it was, or less far, or it is known now what became of its consumers. */
  readonly onProcessor: (processorKey: string) => void;
  readonly onEvent: (groupKey: string, event: string, detail: string) => void;
  /** Asked before every change in NATS. @default - always */
  readonly mayWrite?: () => boolean;
  /** How often NATS is asked what there is and how far processors are behind. @default 30_000 */
  readonly lagMs?: number;
  /** How long NATS is out of reach before it may be gone for good. @default 30_000 */
  readonly goneMs?: number;
  /** Servers instead of those of the document: for an operator outside of the cluster. */
  readonly serversOf?: (group: HydrogenGroup) => readonly string[];
}

export function createBuses(options: BusesOptions): Buses {
  const { kube, onChange, onProcessor, onEvent, serversOf } = options;
  const { mayWrite = () => true, lagMs = 30_000, goneMs = 30_000 } = options;
  const buses = new Map<string, Bus>();

  function open(group: HydrogenGroup): Bus {
    const { namespace, name } = group.metadata;
    const key = groupKey(namespace, name);
    const servers = serversOf?.(group) ?? natsConnectionOf(group).servers.map((server) => qualified(server, namespace));
    const known = buses.get(key);
    if (known !== undefined && known.connection === connectionOf(group, servers)) return known;
    void known?.close();
    const bus = createBus(group, {
      kube,
      servers,
      onChange: (isNew) => onChange(key, isNew),
      onProcessor: (processor) =>
        onProcessor(keyOf({ kind: 'HydrogenMessageProcessor', metadata: { name: processor, namespace } })),
      onEvent: (event, detail) => onEvent(key, event, detail),
      mayWrite,
      lagMs,
      goneMs,
    });
    buses.set(key, bus);
    return bus;
  }

  return {
    check: (group) => open(group).check(group),
    look: (group) => open(group).look(),
    ensureConsumers: (group, processor) => open(group).ensureConsumers(group, processor),
    removeConsumers: async (namespace, group, processor) => {
      const bus = buses.get(groupKey(namespace, group));
      return bus === undefined ? unconnected(group) : bus.removeConsumers(processor);
    },
    removeStreams: async (namespace, group) => {
      const bus = buses.get(groupKey(namespace, group));
      return bus === undefined ? unconnected(group) : bus.removeStreams();
    },
    isGone: (namespace, group) => buses.get(groupKey(namespace, group))?.isGone === true,
    lagOf: (namespace, group, { metadata }) => buses.get(groupKey(namespace, group))?.lagOf(metadata.name),
    expireSecrets: (key) => buses.get(key)?.expireSecrets(),
    forget: async (namespace, group) => {
      const key = groupKey(namespace, group);
      const bus = buses.get(key);
      buses.delete(key);
      await bus?.close();
    },
    stop: async () => {
      await Promise.all([...buses.values()].map((bus) => bus.close()));
      buses.clear();
    },
  };
}

function unconnected(group: string): string {
  return `HydrogenGroup/${group} is invalid, so there is no connection to its NATS`;
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
