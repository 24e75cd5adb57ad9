/**
 * The NATS of every group. The reconciler of custom resources declares here what it wants and reads what is known, both at
 * once; the work is done by a queue of its own, with the group as key, so that nothing but the group waits for its NATS.
 */
import type { HydrogenGroup, HydrogenMessageProcessor } from '../../crds/index.ts';
import { consumerOptionsOf } from '../../runtime/bus/options.ts';
import type { Kube } from '../kube/client.ts';
import { groupKey, keyOf } from '../kube/keys.ts';
import { Queue } from '../queue.ts';
import type { BusFacts } from '../status/facts.ts';
import type { LagStatus } from './lag.ts';
import { connectionDigest, serversOf } from './options.ts';
import { NatsReconciler } from './reconciler.ts';
import { type Removal, removalBlocked } from './removal.ts';

export interface BusesOptions {
  readonly kube: Pick<Kube, 'get'>;
  /** The facts of a group's NATS have changed. */
  readonly onChange: (groupKey: string) => void;
  /** What is known of a processor's consumers has changed, or its lag. */
  readonly onProcessor: (processorKey: string) => void;
  readonly onEvent: (groupKey: string, event: string, detail: string) => void;
  /** The work itself has failed, which is a bug. */
  readonly onBug: (error: unknown) => void;
  /** Asked before every change in NATS. @default - always */
  readonly mayWrite?: () => boolean;
  /** How often NATS is asked what exists and how far processors are behind. @default 30_000 */
  readonly observeMs?: number | undefined;
  /** How long NATS is out of reach before it may be gone for good. @default 30_000 */
  readonly goneMs?: number | undefined;
  /** Servers instead of those of the document: for an operator outside of the cluster. */
  readonly serversOf?: ((group: HydrogenGroup) => readonly string[]) | undefined;
}

const workers = 16;
/** A server that has not answered by now may be silent, and no longer occupies a worker. */
const slowMs = 250;

export class Buses {
  readonly #options: BusesOptions;
  readonly #open = new Map<string, NatsReconciler>();
  readonly #queue: Queue;

  constructor(options: BusesOptions) {
    this.#options = options;
    this.#queue = new Queue({
      work: async (key) => this.#open.get(key)?.work(),
      onFailure: (_, error) => options.onBug(error),
      workers,
      slowMs,
    });
    this.#queue.start();
  }

  /** Connects where there is no connection with these settings, and has the streams made, or kept while paused. */
  want(group: HydrogenGroup): BusFacts {
    return this.#want(group).facts;
  }

  /** Connects, and asks for nothing: for a group that is being deleted. */
  look(group: HydrogenGroup): BusFacts {
    return this.#connect(group).facts;
  }

  /** Has the consumers of a processor made. Returns what NATS has against that. */
  wantConsumers(group: HydrogenGroup, processor: HydrogenMessageProcessor): string | undefined {
    const bus = this.#want(group);
    bus.wantConsumers(consumerOptionsOf(processor));
    return bus.refusalOf(processor.metadata.name);
  }

  /** Leaves the consumers of a processor as they are, while it or its group is paused. */
  keepConsumers(namespace: string, group: string, processor: string): void {
    this.#open.get(groupKey(namespace, group))?.keepConsumers(processor);
  }

  /** Has the consumers of a processor removed, over the connection that exists: the group may be invalid by now. */
  removeConsumers(namespace: string, group: string, processor: string): Removal {
    const bus = this.#open.get(groupKey(namespace, group));
    return bus === undefined ? unconnected(group) : bus.removeConsumers(processor);
  }

  /** Has the streams of a group removed, in the same way. */
  removeStreams(namespace: string, group: string): Removal {
    const bus = this.#open.get(groupKey(namespace, group));
    return bus === undefined ? unconnected(group) : bus.removeStreams();
  }

  /** True while the first connection to the NATS of a group may still be on its way. */
  isStarting(namespace: string, group: string): boolean {
    return this.#open.get(groupKey(namespace, group))?.isStarting === true;
  }

  /** Whether the NATS of a group has been out of reach for so long that it may be gone for good. */
  isGone(namespace: string, group: string): boolean {
    return this.#open.get(groupKey(namespace, group))?.isGone === true;
  }

  /** How far a processor is behind; undefined before NATS has been asked. */
  lagOf(namespace: string, group: string, processor: string): LagStatus | undefined {
    return this.#open.get(groupKey(namespace, group))?.lagOf(processor);
  }

  /** A secret that the group names may have changed. */
  expireSecrets(key: string): void {
    this.#open.get(key)?.expireSecrets();
  }

  /** Forgets the consumers of a processor that is gone. */
  dropConsumers(namespace: string, group: string, processor: string): void {
    this.#open.get(groupKey(namespace, group))?.dropConsumers(processor);
  }

  /** The same in whichever group of the namespace it was. */
  dropProcessor(namespace: string, processor: string): void {
    const prefix = groupKey(namespace, '');
    for (const [key, bus] of this.#open) if (key.startsWith(prefix)) bus.dropConsumers(processor);
  }

  /** Disconnects from a group that is gone. */
  async disconnect(namespace: string, group: string): Promise<void> {
    const key = groupKey(namespace, group);
    const bus = this.#open.get(key);
    this.#open.delete(key);
    await bus?.close();
  }

  /** Ends every connection, and with them the work that waits for an answer. */
  async stop(): Promise<void> {
    await Promise.all([...this.#open.values()].map((bus) => bus.close()));
    this.#open.clear();
    await this.#queue.stop();
  }

  #want(group: HydrogenGroup): NatsReconciler {
    const bus = this.#connect(group);
    bus.wantStreams(group.spec.paused ? 'kept' : 'made');
    return bus;
  }

  #connect(group: HydrogenGroup): NatsReconciler {
    const { kube, onChange, onProcessor, onEvent, mayWrite = () => true } = this.#options;
    const { observeMs = 30_000, goneMs = 30_000 } = this.#options;
    const { namespace, name } = group.metadata;
    const key = groupKey(namespace, name);
    const servers = (this.#options.serversOf ?? serversOf)(group);
    const known = this.#open.get(key);
    if (known !== undefined && known.connection === connectionDigest(group, servers)) return known;
    void known?.close();
    const bus = new NatsReconciler(group, {
      kube,
      servers,
      onDue: () => this.#queue.add(key),
      onChange: () => onChange(key),
      onProcessor: (processor) =>
        onProcessor(keyOf({ kind: 'HydrogenMessageProcessor', metadata: { name: processor, namespace } })),
      onEvent: (event, detail) => onEvent(key, event, detail),
      mayWrite,
      observeMs,
      goneMs,
    });
    this.#open.set(key, bus);
    return bus;
  }
}

function unconnected(group: string): Removal {
  return removalBlocked(`HydrogenGroup/${group} is invalid, so there is no connection to its NATS`);
}
