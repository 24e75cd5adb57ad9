/**
 * The NATS of every group. The reconciler of custom resources declares here what it wants and reads what is known, neither
 * of which waits for NATS. The work is done by a separate queue keyed by group, so that only a group waits for its own NATS.
 */
import type { HydrogenGroup, HydrogenMessageProcessor } from '../../crds/index.ts';
import { consumerOptionsOf } from '../../runtime/bus/options.ts';
import type { PodReport } from '../../runtime/bus/port/reports.ts';
import type { Kube } from '../kube/client.ts';
import { groupKey, keyOf } from '../kube/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
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
  /** The facts of a processor's consumers, or its lag, have changed. */
  readonly onProcessor: (processorKey: string) => void;
  /** What the pods of a member report has changed. */
  readonly onReports: (memberKey: string) => void;
  /** It has become known what the pods of a group report. */
  readonly onReportsKnown: (namespace: string, group: string) => void;
  readonly onEvent: (groupKey: string, event: string, detail: string) => void;
  /** The work has thrown an error, which is a bug. */
  readonly onBug: (error: unknown) => void;
  /** Checked before every change in NATS. @default - always true */
  readonly mayWrite?: () => boolean;
  /** How often NATS is queried for streams, consumers and lag. @default 30_000 */
  readonly observeMs?: number | undefined;
  /** How long NATS must be unreachable before it may be gone for good. @default 30_000 */
  readonly goneMs?: number | undefined;
  /** Servers to use instead of those in the document, for an operator outside the cluster. */
  readonly serversOf?: ((group: HydrogenGroup) => readonly string[]) | undefined;
}

const workers = 16;
/** A server that has not answered after this long may be silent; its work no longer occupies a worker. */
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

  /** Connects unless there is a connection with these settings, and requests the streams; a pause leaves them unchanged. */
  want(group: HydrogenGroup): BusFacts {
    return this.#want(group).facts;
  }

  /** Connects without requesting any streams: for a group that is being deleted. */
  look(group: HydrogenGroup): BusFacts {
    return this.#connect(group).facts;
  }

  /** Requests the consumers of a processor. Returns the reason why NATS refuses them, if any. */
  wantConsumers(group: HydrogenGroup, processor: HydrogenMessageProcessor): string | undefined {
    const bus = this.#want(group);
    bus.wantConsumers(consumerOptionsOf(processor));
    return bus.refusalOf(processor.metadata.name);
  }

  /** Leaves the consumers of a processor unchanged while it or its group is paused. */
  keepConsumers(namespace: string, group: string, processor: string): void {
    this.#open.get(groupKey(namespace, group))?.keepConsumers(processor);
  }

  /** Requests the removal of a processor's consumers over the existing connection: the group may be invalid by now. */
  removeConsumers(namespace: string, group: string, processor: string): Removal {
    const bus = this.#open.get(groupKey(namespace, group));
    return bus === undefined ? unconnected(group) : bus.removeConsumers(processor);
  }

  /** Requests the removal of a group's streams in the same way. */
  removeStreams(namespace: string, group: string): Removal {
    const bus = this.#open.get(groupKey(namespace, group));
    return bus === undefined ? unconnected(group) : bus.removeStreams();
  }

  /** True if the NATS of a group has been unreachable for so long that it may be gone for good. */
  isGone(namespace: string, group: string): boolean {
    return this.#open.get(groupKey(namespace, group))?.isGone === true;
  }

  /** The lag of a processor; undefined until NATS has been queried. */
  lagOf(namespace: string, group: string, processor: string): LagStatus | undefined {
    return this.#open.get(groupKey(namespace, group))?.lagOf(processor);
  }

  /** Messages that wait for the destinations of a processor, by waiting room; undefined while it is not known. */
  waitingOf(namespace: string, group: string, processor: string): ReadonlyMap<string, number> | undefined {
    return this.#open.get(groupKey(namespace, group))?.waitingOf(processor);
  }

  /** What the pods of a member report about their configuration; undefined while it is not known. */
  reportsOf(group: string, member: KubeObject): readonly PodReport[] | undefined {
    const { kind, metadata } = member;
    return this.#open.get(groupKey(metadata.namespace ?? '', group))?.reportsOf(kind, metadata.name);
  }

  /** Asks the pods of a group again. */
  askForReports(namespace: string, group: string): void {
    this.#open.get(groupKey(namespace, group))?.askForReports();
  }

  /** Call it when a secret that the group refers to may have changed. */
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

  /** Closes every connection, which ends the work that is waiting for an answer. */
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
    const { kube, onChange, onProcessor, onReports, onReportsKnown, onEvent, mayWrite = () => true } = this.#options;
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
      onReports: (kind, member) => onReports(keyOf({ kind, metadata: { name: member, namespace } })),
      onReportsKnown: () => onReportsKnown(namespace, name),
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
