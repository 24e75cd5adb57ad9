/** How each fault of a plan is done to the cast, and undone. */

import { setTimeout as pass } from 'node:timers/promises';
import type { JetStreamManager, StreamConfig } from 'nats';
import type { Subjects } from '../../../runtime/bus/subjects.ts';
import { eventually } from '../../kit/eventually.ts';
import type { TestNats } from '../../kit/nats.ts';
import type { Cast, Seat } from './cast.ts';
import type { Ordering } from './history.ts';
import { type FaultKind, faultSpecs, type PlannedFault } from './plan.ts';
import type { Recorder } from './recorder.ts';
import type { Mood, SoakDestination } from './services.ts';

/** What faults strike. */
export interface Scene {
  readonly cast: Cast;
  readonly destinations: readonly SoakDestination[];
  readonly recorder: Recorder;
}

/** @param onEffect to be called when it has taken effect, where that is not its beginning */
type Strike = (scene: Scene, fault: PlannedFault, onEffect: () => void) => Promise<void>;

const linkDelayMs = 300;
/** Too little for one more message. */
const noBytes = 1_024;
/** Work of an administrator is done again until NATS takes it. */
const patience = { timeoutMs: 90_000, everyMs: 500 };
const partitionChoices = [4, 8, 16] as const;

/** Does what the fault says, waits and undoes it; then it is noted. @throws when it cannot be undone */
export async function strike(scene: Scene, fault: PlannedFault): Promise<void> {
  const { recorder } = scene;
  const { kind } = fault;
  let atMs = recorder.nowMs();
  await strikes[kind](scene, fault, () => {
    atMs = recorder.nowMs();
  });
  recorder.note({ kind: 'faulted', fault: kind, target: targetOf(scene, fault), atMs, endedMs: recorder.nowMs() });
}

/** The name of what a fault strikes. */
export function targetOf({ cast }: Scene, { kind, target }: PlannedFault): string {
  const { on } = faultSpecs[kind];
  if (on === 'link') return seatOf(cast.seats, target).name;
  return ['gateway', 'processor', 'destination'].includes(on) ? `${on}-${target}` : on;
}

const strikes: Readonly<Record<FaultKind, Strike>> = {
  killGateway: (scene, fault) => restart(seatOf(scene.cast.gateways, fault.target), 'SIGKILL', fault.forMs),
  killProcessor: (scene, fault) => restart(seatOf(scene.cast.processors, fault.target), 'SIGKILL', fault.forMs),
  stopGateway: (scene, fault) => restart(seatOf(scene.cast.gateways, fault.target), 'SIGTERM', fault.forMs),
  stopProcessor: (scene, fault) => restart(seatOf(scene.cast.processors, fault.target), 'SIGTERM', fault.forMs),
  freezeGateway: (scene, fault) => freeze(seatOf(scene.cast.gateways, fault.target).process?.pid, fault.forMs),
  freezeProcessor: (scene, fault) => freeze(seatOf(scene.cast.processors, fault.target).process?.pid, fault.forMs),

  killNode: ({ cast }, { target, forMs }) => downtime(cast.nats.nodes.slice(target, target + 1), forMs),
  killLeader: async ({ cast }, { target, forMs }) => {
    const leader = await cast.nats.leaderOf(cast.subjects.stream).catch(() => undefined);
    await downtime([leader ?? nodeOf(cast, target)], forMs);
  },
  killQuorum: ({ cast }, { target, forMs }) => {
    const spared = nodeOf(cast, target);
    return downtime(
      cast.nats.nodes.filter((node) => node !== spared),
      forMs,
    );
  },
  killAllNodes: ({ cast }, { forMs }) => downtime(cast.nats.nodes, forMs),
  freezeNode: ({ cast }, { target, forMs }) => freeze(nodeOf(cast, target).pid, forMs),

  delayLink: async ({ cast }, { target, forMs }) => {
    const { links } = seatOf(cast.seats, target);
    for (const link of links) link.slow(linkDelayMs);
    await pass(forMs);
    for (const link of links) link.slow(0);
  },
  cutLink: async ({ cast }, { target, forMs }) => {
    const { links } = seatOf(cast.seats, target);
    for (const link of links) {
      link.refuse(true);
      link.cut();
    }
    await pass(forMs);
    for (const link of links) link.refuse(false);
  },
  halfCloseLink: async ({ cast }, { target, forMs }) => {
    for (const link of seatOf(cast.seats, target).links) link.halfClose();
    await pass(forMs);
  },
  swallowLink: async ({ cast }, { target, forMs }) => {
    const { links } = seatOf(cast.seats, target);
    for (const link of links) link.swallow(true);
    await pass(forMs);
    for (const link of links) link.swallow(false);
  },

  destinationFails: (scene, fault) => turn(scene, fault, 'fails'),
  destinationSlow: (scene, fault) => turn(scene, fault, 'slow'),
  destinationHangs: (scene, fault) => turn(scene, fault, 'hangs'),
  destinationResets: (scene, fault) => turn(scene, fault, 'resets'),
  destinationDies: async ({ destinations }, { target, forMs }) => {
    await destinations[target]?.die();
    await pass(forMs);
    await destinations[target]?.revive();
  },

  fullStream: ({ cast }, { forMs }) => fill(cast, cast.subjects.stream, forMs),
  fullDeadLetters: ({ cast }, { forMs }) => fill(cast, cast.subjects.deadLetterStream, forMs),

  changeRules: ({ cast }, { forMs }) =>
    changeProcessor(cast, forMs, (spec) => {
      const { rules } = spec.routing as { readonly rules: readonly { readonly name: string }[] };
      return { ...spec, routing: { rules: rules.map((one) => ({ ...one, name: `${one.name}-renamed` })) } };
    }),
  changeEndpoints: async ({ cast }, { forMs }) => {
    const { gateway } = cast.specs;
    const endpoints = [...(gateway.endpoints as readonly object[]), { path: '/new' }];
    await cast.change({ gateway: { ...gateway, endpoints } });
    await pass(forMs);
    await cast.change({ gateway });
  },
  narrowEndpoints: ({ cast }, { forMs }) =>
    changeProcessor(cast, forMs, (spec) => {
      const [first] = cast.specs.gateway.endpoints as readonly { readonly path: string }[];
      return { ...spec, endpoints: [first?.path] };
    }),
  changePartitions: (scene, { target, forMs }) => {
    const partitions = partitionChoices[(forMs + target) % partitionChoices.length];
    return changeDelivery(scene, forMs, (delivery) => ({ ...delivery, partitions }));
  },
  changeOrdering: (scene, { forMs }) =>
    changeDelivery(scene, forMs, ({ ordering, ...delivery }) => ({
      ...delivery,
      ordering: ordering === 'Unordered' ? 'PerConnection' : 'Unordered',
    })),

  deleteConsumer: removing(async (manager, { stream }, index) => {
    const consumers = await manager.consumers.list(stream).next();
    const one = consumers[index % Math.max(1, consumers.length)];
    return one === undefined || manager.consumers.delete(stream, one.name);
  }),
  deleteStream: removing((manager, { stream }) => manager.streams.delete(stream)),
  deleteLeases: removing((manager, { leaseBucket }) => manager.streams.delete(`KV_${leaseBucket}`)),
};

function seatOf<S extends Seat>(seats: readonly S[], index: number): S {
  const seat = seats[index];
  if (seat === undefined) throw new RangeError(`there is no seat ${index}`);
  return seat;
}

function nodeOf(cast: Cast, index: number): TestNats {
  const node = cast.nats.nodes[index];
  if (node === undefined) throw new RangeError(`there is no node ${index}`);
  return node;
}

async function restart(seat: Seat, signal: 'SIGTERM' | 'SIGKILL', forMs: number): Promise<void> {
  await seat.end(signal);
  await pass(forMs);
  await seat.start();
}

async function freeze(pid: number | undefined, forMs: number): Promise<void> {
  if (pid === undefined) return;
  process.kill(pid, 'SIGSTOP');
  await pass(forMs);
  process.kill(pid, 'SIGCONT');
}

async function downtime(nodes: readonly TestNats[], forMs: number): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()));
  await pass(forMs);
  await Promise.all(nodes.map((node) => node.start()));
}

async function turn({ destinations }: Scene, { target, forMs }: PlannedFault, mood: Mood): Promise<void> {
  const destination = destinations[target];
  if (destination === undefined) return;
  destination.mood = mood;
  await pass(forMs);
  destination.mood = 'works';
}

/** Leaves no room in a stream. Its owner may make room before the time is over. */
async function fill(cast: Cast, stream: string, forMs: number): Promise<void> {
  const resize = (maxBytes: (config: StreamConfig) => number): Promise<number> =>
    eventually(
      () =>
        cast.nats.withManager(async (manager) => {
          const { config } = await manager.streams.info(stream);
          await manager.streams.update(stream, { ...config, max_bytes: maxBytes(config) });
          return config.max_bytes;
        }),
      patience,
    );
  const before = await resize(() => noBytes);
  await pass(forMs);
  await resize(({ max_bytes }) => (max_bytes === noBytes ? before : max_bytes));
}

/** It takes effect when NATS has answered: what was sent before may be gone. */
function removing(remove: (manager: JetStreamManager, subjects: Subjects, index: number) => Promise<boolean>): Strike {
  return async ({ cast }, { forMs }, onEffect) => {
    await eventually(() => cast.nats.withManager((manager) => remove(manager, cast.subjects, forMs)), patience);
    onEffect();
    await pass(forMs);
  };
}

async function changeProcessor(
  cast: Cast,
  forMs: number,
  change: (spec: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>,
): Promise<void> {
  const { processor } = cast.specs;
  await cast.change({ processor: change(processor) });
  await pass(forMs);
  await cast.change({ processor });
}

async function changeDelivery(
  { cast, recorder }: Scene,
  forMs: number,
  change: (delivery: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>,
): Promise<void> {
  const note = (): void => {
    const { ordering } = cast.specs.processor.delivery as { readonly ordering: Ordering };
    recorder.note({ kind: 'reordered', atMs: recorder.nowMs(), ordering });
  };
  const noted = changeProcessor(cast, forMs, (spec) => ({
    ...spec,
    delivery: change(spec.delivery as Readonly<Record<string, unknown>>),
  }));
  note();
  await noted;
  note();
}
