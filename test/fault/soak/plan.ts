/** From a seed to a schedule of faults: a pure function, so that a seed repeats a run. */

import { createRandom, type Random } from './random.ts';

/** Where a fault strikes, and how long it may last. */
interface FaultSpec {
  /** What it takes for itself: two faults never have the same at once. */
  readonly on: 'gateway' | 'processor' | 'link' | 'nats' | 'destination' | 'stream' | 'config';
  /** Seconds from its beginning to its end; for a process that is ended, until it is started again. */
  readonly seconds: readonly [min: number, max: number];
}

export const faultSpecs = {
  /** SIGKILL. */
  killGateway: { on: 'gateway', seconds: [1, 4] },
  killProcessor: { on: 'processor', seconds: [1, 4] },
  /** SIGTERM. */
  stopGateway: { on: 'gateway', seconds: [1, 3] },
  stopProcessor: { on: 'processor', seconds: [1, 3] },
  /** SIGSTOP, then SIGCONT; of a gateway also for longer than its lease. */
  freezeGateway: { on: 'gateway', seconds: [2, 18] },
  freezeProcessor: { on: 'processor', seconds: [2, 12] },
  /** SIGKILL of one server, of the leader of the stream, of two of three, of all. */
  killNode: { on: 'nats', seconds: [2, 6] },
  killLeader: { on: 'nats', seconds: [2, 6] },
  killQuorum: { on: 'nats', seconds: [3, 7] },
  killAllNodes: { on: 'nats', seconds: [1, 5] },
  freezeNode: { on: 'nats', seconds: [2, 10] },
  /** The connections of one process to NATS. */
  delayLink: { on: 'link', seconds: [3, 8] },
  cutLink: { on: 'link', seconds: [1, 3] },
  halfCloseLink: { on: 'link', seconds: [1, 3] },
  swallowLink: { on: 'link', seconds: [2, 12] },
  destinationFails: { on: 'destination', seconds: [2, 6] },
  destinationSlow: { on: 'destination', seconds: [3, 8] },
  destinationHangs: { on: 'destination', seconds: [3, 8] },
  destinationResets: { on: 'destination', seconds: [2, 5] },
  destinationDies: { on: 'destination', seconds: [2, 5] },
  /** The stream takes nothing more. */
  fullStream: { on: 'stream', seconds: [2, 5] },
  fullDeadLetters: { on: 'stream', seconds: [2, 6] },
  /** Edits of the documents. */
  changeRules: { on: 'config', seconds: [2, 5] },
  changeEndpoints: { on: 'config', seconds: [2, 5] },
  narrowEndpoints: { on: 'config', seconds: [3, 6] },
  changePartitions: { on: 'config', seconds: [2, 6] },
  changeOrdering: { on: 'config', seconds: [2, 6] },
  /** What an administrator removes by hand. */
  deleteConsumer: { on: 'stream', seconds: [1, 1] },
  deleteStream: { on: 'stream', seconds: [1, 1] },
  deleteLeases: { on: 'stream', seconds: [1, 1] },
} as const satisfies Record<string, FaultSpec>;

export type FaultKind = keyof typeof faultSpecs;

export const faultKinds = Object.keys(faultSpecs) as readonly FaultKind[];

/** What clients and services do throughout a run, beside sending and pushing: they close connections. */
export const behaviours = ['clientsClose', 'servicesClose'] as const;

/** Everything that a run can do, or leave out. */
export type Trouble = FaultKind | (typeof behaviours)[number];

export const troubles: readonly Trouble[] = [...faultKinds, ...behaviours];

export interface PlannedFault {
  /** Milliseconds from the start of the load. */
  readonly atMs: number;
  readonly forMs: number;
  readonly kind: FaultKind;
  /** Which of the processes or destinations, counted from 0. */
  readonly target: number;
}

/** How many there are of what faults strike. */
export interface CastSize {
  readonly gateways: number;
  readonly processors: number;
  readonly destinations: number;
  readonly nodes: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly size: CastSize;
  /** Kinds that are drawn. @default - all */
  readonly kinds?: readonly FaultKind[];
}

export interface FaultPlan {
  readonly seed: number;
  readonly durationMs: number;
  /** In the order of their beginning; all end before `durationMs`. */
  readonly faults: readonly PlannedFault[];
}

/** Milliseconds between the beginnings of two faults: so close that most overlap another one. */
const gapMs = [300, 2_500] as const;
/** Milliseconds at the start of a run for connections to open. */
const firstMs = 2_000;
/** Milliseconds that whatever a fault struck stays unharmed afterwards, so that it does some work between two faults. */
const restMs = 3_000;

/** The same options give the same plan. */
export function createPlan({ seed, durationMs, size, kinds = faultKinds }: PlanOptions): FaultPlan {
  const random = createRandom(seed);
  const busyUntilMs = new Map<string, number>();
  const faults: PlannedFault[] = [];
  let bag: FaultKind[] = [];
  for (let atMs = firstMs; ; atMs += random.between(...gapMs)) {
    // Each kind once before any comes again, so that a short run has seen most of them.
    if (bag.length === 0) bag = shuffled(kinds, random);
    const fault = draw(bag, atMs, size, random, busyUntilMs);
    if (atMs >= durationMs) return { seed, durationMs, faults };
    if (fault === undefined || fault.atMs + fault.forMs >= durationMs) continue;
    faults.push(fault);
    busyUntilMs.set(placeStruck(fault), fault.atMs + fault.forMs + restMs);
    bag.splice(bag.indexOf(fault.kind), 1);
  }
}

/** The first kind of the bag whose place is free. */
function draw(
  bag: readonly FaultKind[],
  atMs: number,
  size: CastSize,
  random: Random,
  busyUntilMs: ReadonlyMap<string, number>,
): PlannedFault | undefined {
  for (const kind of bag) {
    const { seconds } = faultSpecs[kind];
    const forMs = random.between(seconds[0] * 1000, seconds[1] * 1000);
    const fault = { atMs, forMs, kind, target: random.between(0, targetsOf(kind, size) - 1) };
    if ((busyUntilMs.get(placeStruck(fault)) ?? 0) <= atMs) return fault;
  }
  return undefined;
}

function targetsOf(kind: FaultKind, { gateways, processors, destinations, nodes }: CastSize): number {
  switch (faultSpecs[kind].on) {
    case 'gateway':
      return gateways;
    case 'processor':
      return processors;
    case 'link':
      return gateways + processors;
    case 'destination':
      return destinations;
    case 'nats':
      return nodes;
    default:
      return 1;
  }
}

/** What a fault has for itself. The servers share one place: with one of three down, no second one is struck. */
export function placeStruck({ kind, target }: PlannedFault): string {
  const { on } = faultSpecs[kind];
  return on === 'nats' ? on : `${on} ${target}`;
}

function shuffled(kinds: readonly FaultKind[], random: Random): FaultKind[] {
  return kinds
    .map((kind) => [random.next(), kind] as const)
    .sort(([a], [b]) => a - b)
    .map(([, kind]) => kind);
}
