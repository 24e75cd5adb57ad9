/**
 * The bus of one group as the operator sees it: a connection that makes the streams and consumers whenever it comes up or
 * their settings change, notices what others do to them, and carries no messages. JetStream may be silent while the
 * connection stands, so nothing here is waited for longer than a moment.
 */
import type { HydrogenGroup, HydrogenMessageProcessor } from '../../crds/index.ts';
import { createNatsGroup, type ProcessorLag } from '../../runtime/bus/nats/group.ts';
import type { ConsumerOptions } from '../../runtime/bus/port/messages.ts';
import { digest } from '../digest.ts';
import type { Kube } from '../kube/client.ts';
import { messageOf } from '../kube/errors.ts';
import type { BusFacts } from '../status/facts.ts';
import { createFailure } from './failure.ts';
import { isSameLag, type Lag } from './lag.ts';
import { connectionOf, natsOptionsOf } from './options.ts';
import { createPatience } from './patience.ts';
import { createBusSecrets } from './secrets.ts';

/** Nothing of it throws. What it resolves with is what stands in the way; undefined: nothing does. */
export interface Bus {
  /** Digest of the settings of the connection. */
  readonly connection: string;
  /** Whether NATS has not been reached for so long that it may be gone for good. */
  readonly isGone: boolean;
  /** Makes the streams when that is due, unless the group is paused, and tells how it stands. */
  check(group: HydrogenGroup): Promise<BusFacts>;
  /** How it stands, without making anything: for a group that is being deleted. */
  look(): BusFacts;
  ensureConsumers(group: HydrogenGroup, processor: HydrogenMessageProcessor): Promise<string | undefined>;
  removeConsumers(processor: string): Promise<string | undefined>;
  removeStreams(): Promise<string | undefined>;
  /** Undefined before NATS has told. */
  lagOf(processor: string): Lag | undefined;
  /** A secret that it logs in with may have changed. */
  expireSecrets(): void;
  close(): Promise<void>;
}

export interface BusOptions {
  readonly kube: Pick<Kube, 'get'>;
  readonly servers: readonly string[];
  /** Something about the bus has changed; `isNew`: what was made there must be looked at anew. */
  readonly onChange: (isNew: boolean) => void;
  /** The lag of a processor has changed, or what became of its consumers is known now. */
  readonly onProcessor: (name: string) => void;
  readonly onEvent: (event: string, detail: string) => void;
  /** Asked before every change in NATS. */
  readonly mayWrite: () => boolean;
  /** How often NATS is asked what there is and how far processors are behind. */
  readonly lagMs: number;
  /** How long NATS is out of reach before it counts as gone. */
  readonly goneMs: number;
}

interface Made<Outcome> {
  /** Digest of what it was made from. */
  readonly from: string;
  readonly outcome: Outcome;
  readonly atMs: number;
}

/** What became of a processor's consumers: what NATS has against them, and how many there should be. */
interface Consumers {
  readonly refusal: string | undefined;
  readonly count: number;
}

/** How long a look at an object waits for NATS. */
const momentMs = 200;

/** What is done to the streams is done one after the other, and so for each processor by its name. */
const streamsName = '(streams)';

/** How long it is believed that something is wrong: somebody may have mended it. */
const recheckMs = 10_000;

/** How long after a connection was made NATS is asked for the first time how far processors are behind. */
const firstLagMs = 3000;

export function createBus(group: HydrogenGroup, options: BusOptions): Bus {
  const { servers, onChange, onProcessor, onEvent, lagMs, goneMs } = options;
  const secrets = createBusSecrets(options.kube, group.metadata.namespace);
  const patience = createPatience(momentMs);
  const consumers = new Map<string, Made<Consumers>>();
  const removals = new Map<string, string | undefined>();
  const obstacles = new Map<string, string>();
  const lags = new Map<string, Lag>();
  let streams: Made<BusFacts> | undefined;
  /** What is not as it should be with the streams, when they were looked at last. */
  let drift: readonly string[] | undefined;
  /** Why they could not be looked at. */
  let uninspected: BusFacts | undefined;
  /** Whether consumers were asked for before there were streams. */
  let hasMissed = false;
  /** Grows with every connection and with what others have changed: what was made is made again. */
  let epoch = 0;
  let downSinceMs: number | undefined = performance.now();

  const failure = createFailure(servers, {
    onTell: (detail) => onEvent('connectFailed', detail),
    onOther: () => onChange(false),
  });
  const nats = createNatsGroup({
    ...natsOptionsOf(group, servers, secrets.read),
    mayWrite: options.mayWrite,
    onEvent: ({ kind, detail, cause }) => {
      if (kind === 'connectFailed') failure.add(detail, cause);
      else onEvent(kind, cause === undefined ? detail : `${detail}: ${messageOf(cause)}`);
    },
  });
  const timer = setInterval(() => void observe(), lagMs).unref();
  nats.onStatus((status) => {
    if (status === 'up') {
      epoch += 1;
      failure.forget();
      downSinceMs = undefined;
      // Soon after its consumers are made, rather than half a minute later.
      setTimeout(() => void observe(), Math.min(lagMs, firstLagMs)).unref();
    } else downSinceMs ??= performance.now();
    if (status !== 'stopped') onChange(status === 'up');
  });
  void nats.start();

  /** Asks NATS what there is; what others have taken away or changed is made again. */
  async function observe(): Promise<void> {
    if (nats.status !== 'up') return;
    try {
      const observedTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
      const [found, off] = await Promise.all([nats.lags(), nats.inspectStreams()]);
      if (!patience.isBusy(streamsName)) compare(found, off);
      for (const [processor, { pendingMessages, unacknowledgedMessages }] of found) {
        const lag = { pendingMessages, unacknowledgedMessages, observedTime };
        if (isSameLag(lags.get(processor), lag)) continue;
        lags.set(processor, lag);
        onProcessor(processor);
      }
    } catch (error) {
      onEvent('lagUnknown', messageOf(error));
    }
  }

  function compare(found: ReadonlyMap<string, ProcessorLag>, off: readonly string[]): void {
    const isChanged = drift === undefined || digest(off) !== digest(drift);
    drift = off;
    const isShort = [...consumers].some(
      ([processor, { outcome }]) => (found.get(processor)?.consumers ?? 0) < outcome.count,
    );
    if (!isChanged && !isShort) return;
    epoch += 1;
    consumers.clear();
    onChange(true);
  }

  function downFacts(): BusFacts {
    const { problem } = secrets;
    if (problem !== undefined) return { state: problem.isForbidden ? 'unchecked' : 'down', message: problem.message };
    return failure.last === undefined ? { state: 'connecting' } : { state: 'down', message: failure.last };
  }

  async function check({ spec }: HydrogenGroup): Promise<BusFacts> {
    if (nats.status !== 'up') return downFacts();
    if (spec.paused) {
      if (drift === undefined) await patience.spend(streamsName, inspectStreams, () => onChange(false));
      if (drift === undefined) return uninspected ?? { state: 'connecting' };
      return drift.length === 0 ? { state: 'up' } : { state: 'paused', message: drift.join('; ') };
    }
    const from = `${epoch}`;
    await patience.spend(
      streamsName,
      () => makeStreams(from),
      () => onChange(true),
    );
    return streams?.outcome ?? { state: 'connecting' };
  }

  async function inspectStreams(): Promise<void> {
    drift = undefined;
    try {
      drift = await nats.inspectStreams();
    } catch (error) {
      uninspected = { state: isUnreachable(error) ? 'down' : 'refused', message: messageOf(error) };
    }
  }

  async function makeStreams(from: string): Promise<void> {
    if (!isDue(streams, from, streams?.outcome.state !== 'up')) return;
    removals.delete(streamsName);
    const outcome = await ensureStreams();
    if (outcome.state === 'up') drift = [];
    else await inspectStreams();
    streams = { from, outcome, atMs: performance.now() };
    if (outcome.state !== 'up' || !hasMissed) return;
    hasMissed = false;
    onChange(true);
  }

  async function ensureStreams(): Promise<BusFacts> {
    try {
      const conflicts = await nats.ensureStreams();
      return conflicts.length === 0 ? { state: 'up' } : { state: 'conflict', message: conflicts.join('; ') };
    } catch (error) {
      if (isUnreachable(error)) return { state: 'down', message: messageOf(error) };
      const room = await nats.accountRoom().catch(() => undefined);
      return { state: 'refused', message: [messageOf(error), room ?? []].flat().join('; ') };
    }
  }

  async function makeConsumers(wanted: ConsumerOptions, from: string): Promise<void> {
    const { processor, ordering, partitions } = wanted;
    const known = consumers.get(processor);
    if (!isDue(known, from, known?.outcome.refusal !== undefined)) return;
    removals.delete(processor);
    const refusal = await obstacleOf(() => nats.ensureConsumers(wanted));
    const count = refusal !== undefined ? 0 : ordering === 'PerConnection' ? partitions : 1;
    consumers.set(processor, { from, outcome: { refusal, count }, atMs: performance.now() });
  }

  /** Its outcome is kept until it has been told: whoever asked may have been gone by then. */
  async function remove(name: string, work: () => Promise<unknown>, onLate: () => void): Promise<string | undefined> {
    if (nats.status !== 'up') return 'it cannot be reached';
    if (!removals.has(name)) {
      await patience.spend(name, async () => void removals.set(name, await obstacleOf(work)), onLate);
    }
    if (!removals.has(name)) return obstacles.get(name) ?? 'it has not answered yet';
    const obstacle = removals.get(name);
    removals.delete(name);
    if (obstacle === undefined) obstacles.delete(name);
    else obstacles.set(name, obstacle);
    return obstacle;
  }

  return {
    connection: connectionOf(group, servers),
    get isGone() {
      return failure.last !== undefined && downSinceMs !== undefined && performance.now() - downSinceMs > goneMs;
    },
    check,
    look: () => (nats.status === 'up' ? (streams?.outcome ?? { state: 'up' }) : downFacts()),
    ensureConsumers: async (current, { metadata, spec }) => {
      const { state } = await check(current);
      // Without streams there is nothing to consume; the group's own condition says why.
      hasMissed ||= state !== 'up' && state !== 'conflict';
      if (state !== 'up' && state !== 'conflict') return undefined;
      const { endpoints, delivery } = spec;
      const wanted = {
        processor: metadata.name,
        endpoints,
        ackTimeoutMs: delivery.ackTimeoutSeconds * 1000,
        maxInFlight: delivery.maxInFlight,
        ordering: delivery.ordering,
        partitions: delivery.partitions,
      };
      await patience.spend(
        metadata.name,
        () => makeConsumers(wanted, digest([epoch, wanted])),
        () => onProcessor(metadata.name),
      );
      return consumers.get(metadata.name)?.outcome.refusal;
    },
    removeConsumers: (processor) => {
      const removal = async (): Promise<void> => {
        await nats.deleteConsumers(processor);
        consumers.delete(processor);
        lags.delete(processor);
      };
      return remove(processor, removal, () => onProcessor(processor));
    },
    removeStreams: () => {
      const removal = async (): Promise<void> => {
        await nats.deleteStreams();
        streams = undefined;
      };
      return remove(streamsName, removal, () => onChange(false));
    },
    lagOf: (processor) => lags.get(processor),
    expireSecrets: () => secrets.expire(),
    close: async () => {
      clearInterval(timer);
      await nats.stop();
    },
  };
}

/** Whether something must be made: it never was, or from something else, or in vain and so long ago that it may work by now. */
function isDue(made: Made<unknown> | undefined, from: string, isInVain: boolean): boolean {
  return made?.from !== from || (isInVain && performance.now() - made.atMs > recheckMs);
}

async function obstacleOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Whether it is the connection that failed, and not JetStream that refused. */
function isUnreachable(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'HYD_BUS_UNREACHABLE';
}
