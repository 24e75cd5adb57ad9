/**
 * One run: processes and services are started, clients and pushers keep them busy while the faults of a plan strike,
 * then everything heals, comes to rest, and the checker judges what was recorded.
 */

import { setTimeout as pass } from 'node:timers/promises';
import { Cast, type Specs } from './cast.ts';
import { check, type Verdict } from './checker.ts';
import { SoakClients } from './clients.ts';
import { DeadLetterReader } from './dead-letters.ts';
import { excuseOf, isHookMissing } from './excuses.ts';
import { factsOf, isDone } from './facts.ts';
import { type Scene, strike, targetOf } from './faults.ts';
import type { History } from './history.ts';
import { type CastSize, createPlan, type FaultPlan, faultKinds, placeStruck, type Trouble } from './plan.ts';
import { SoakPushers } from './pushers.ts';
import { createRandom } from './random.ts';
import { Recorder } from './recorder.ts';
import { SoakDestination, type SoakHooks, startHooks } from './services.ts';
import { UsageMeter } from './usage.ts';

export interface SoakOptions {
  readonly seed: number;
  /** How long faults strike. Starting, healing and coming to rest take up to two minutes more. */
  readonly durationMs: number;
  /** What the run does. */
  readonly troubles: readonly Trouble[];
  /** Receives a line of progress every few seconds. */
  readonly onProgress: (line: string) => void;
}

export interface SoakReport extends Verdict {
  readonly plan: FaultPlan;
  readonly history: History;
  /** Faults that could not be done or undone. */
  readonly failures: readonly string[];
  /** The output of each process since it was last started. */
  readonly outputs: Readonly<Record<string, string>>;
}

/** Everything that runs during the load. */
interface Stage extends Scene {
  readonly clients: SoakClients;
  readonly pushers: SoakPushers;
  readonly letters: DeadLetterReader;
  readonly usage: UsageMeter;
}

const size: CastSize = { gateways: 2, processors: 2, destinations: 3, nodes: 3 };
const clientCount = 40;
const rules = ['a', 'b', 'c'] as const;
const limits = { residentBytes: 400 * 1_048_576, idleCpu: 0.2 };
const progressMs = 5_000;
/** Milliseconds without a request after which all is quiet: longer than a message waits for its next attempt. */
const quietMs = 2_500;
/** Milliseconds in which messages that wait for a retry, and hooks, must come to an end once everything is healed. */
const settleMs = 90_000;
/** Milliseconds without any change after which that has failed: with the load, and when the clients have left. */
const stallMs = { loaded: 45_000, left: 12_000 } as const;

/** @throws when the cast cannot be started */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { seed, durationMs, troubles, onProgress } = options;
  const kinds = faultKinds.filter((kind) => troubles.includes(kind));
  const plan = createPlan({ seed, durationMs, size, kinds });
  const recorder = new Recorder();
  await using stack = new AsyncDisposableStack();
  const hooks = stack.use(await startHooks(recorder, createRandom(seed + 1)));
  const destinations: SoakDestination[] = [];
  for (let index = 0; index < size.destinations; index++) {
    destinations.push(stack.use(await SoakDestination.start(recorder, createRandom(seed + 2 + index))));
  }
  const ordering = seed % 2 === 0 ? 'PerConnection' : 'Unordered';
  const cast = stack.use(await Cast.start(size, specsFor(hooks, destinations, ordering), recorder));
  recorder.note({ kind: 'reordered', atMs: recorder.nowMs(), ordering });
  const stage = raise(options, { cast, destinations, recorder }, hooks);

  const failures: string[] = [];
  await loadUnderFaults(stage, plan, failures, onProgress);
  await settle(stage, stallMs.loaded, onProgress);
  await stage.usage.measureIdle();
  await stage.clients.leave();
  await settle(stage, stallMs.left, onProgress);
  const verdict = check(recorder.history, limits);
  const outputs = Object.fromEntries(cast.seats.map(({ name, process }) => [name, process?.output() ?? '']));
  return { ...verdict, plan, history: [...recorder.history], failures, outputs };
}

function specsFor(hooks: SoakHooks, destinations: readonly SoakDestination[], ordering: string): Specs {
  const to = (path: string) => ({ url: `${hooks.url}${path}` });
  return {
    group: { stream: { storage: 'File', replicas: 3, maxBytes: '64Mi' }, instanceLeaseSeconds: 15 },
    gateway: {
      endpoints: [{ path: '/chat' }, { path: '/feed' }],
      authorizer: { http: to('authorizer') },
      hooks: { connect: to('connect'), disconnect: { ...to('disconnect'), maxAttempts: 20 } },
      drain: { periodSeconds: 2 },
    },
    processor: {
      routing: {
        rules: rules.map((name, index) => {
          const url = destinations[index % destinations.length]?.url;
          return { name, pattern: `^${name} `, destination: { url, timeoutSeconds: 3 } };
        }),
      },
      delivery: { ackTimeoutSeconds: 5, backoffSeconds: [1], maxAttempts: 100, partitions: 8, ordering },
    },
  };
}

function raise(options: SoakOptions, scene: Scene, hooks: SoakHooks): Stage {
  const { seed, troubles } = options;
  const { cast, recorder } = scene;
  const endpoints = ['/chat', '/feed'];
  const clients = new SoakClients(cast, recorder, {
    size: clientCount,
    seed,
    rules,
    endpoints,
    isClosing: troubles.includes('clientsClose'),
  });
  const isClosing = troubles.includes('servicesClose');
  const pushers = new SoakPushers({ cast, hooks, recorder, seed, open: () => clients.open, isClosing });
  const letters = new DeadLetterReader(cast, recorder);
  return { ...scene, clients, pushers, letters, usage: new UsageMeter(cast, recorder) };
}

async function loadUnderFaults(
  stage: Stage,
  plan: FaultPlan,
  failures: string[],
  onProgress: (line: string) => void,
): Promise<void> {
  const { recorder, clients, pushers, usage } = stage;
  const startedMs = recorder.nowMs();
  const running = new Set<string>();
  let done = 0;
  const progress = (): void => {
    usage.sample();
    const elapsed = Math.round((recorder.nowMs() - startedMs) / 1000);
    const left = Math.max(0, Math.round(plan.durationMs / 1000) - elapsed);
    const faults = `faults ${done}/${plan.faults.length} (${[...running].join(', ') || 'none now'})`;
    onProgress(`${elapsed} s, ${left} s left: ${faults}; ${countsNow(stage)}`);
  };
  const ticker = setInterval(progress, progressMs);
  try {
    const turns = new Map<string, Promise<void>>();
    for (const fault of plan.faults) {
      const place = placeStruck(fault);
      const turn = Promise.all([pass(fault.atMs), turns.get(place)]).then(async () => {
        const name = `${fault.kind} ${targetOf(stage, fault)}`;
        running.add(name);
        await strike(stage, fault).catch((error: unknown) => failures.push(`${name}: ${error}`));
        running.delete(name);
        done += 1;
      });
      // One that takes longer than planned, such as a stop, delays the next one in its place.
      turns.set(place, turn);
    }
    await Promise.all([pass(plan.durationMs), ...turns.values()]);
  } finally {
    clearInterval(ticker);
    clients.silence();
    await pushers.stop();
  }
}

/** Waits until nothing is left to be delivered or called and all is quiet, or nothing changes any more. */
async function settle(stage: Stage, patienceMs: number, onProgress: (line: string) => void): Promise<void> {
  const { recorder, letters, usage } = stage;
  const startedMs = recorder.nowMs();
  let [before, changedMs] = [{ left: -1, requests: -1 }, startedMs];
  for (let turn = 1; ; turn++) {
    usage.sample();
    await letters.read().catch(() => undefined); // again in the next turn
    const now = { left: unfinished(recorder.history), requests: recorder.count('requested') };
    const isQuiet = now.requests === before.requests;
    if (now.left === 0 && isQuiet) return;
    const atMs = recorder.nowMs();
    if (now.left !== before.left || !isQuiet) changedMs = atMs;
    before = now;
    if (atMs - startedMs > settleMs || atMs - changedMs > patienceMs) return;
    if (turn % 3 === 0) onProgress(`settling, ${now.left} left; ${countsNow(stage)}`);
    await pass(quietMs);
  }
}

/** How many messages are to be delivered, and how many connections are without their hook. */
function unfinished(history: History): number {
  const facts = factsOf(history);
  let count = 0;
  for (const connection of facts.connections.values()) {
    if (isHookMissing(facts, connection)) count += 1;
    for (const message of connection.messages) {
      if (!isDone(message) && excuseOf(facts, connection, message) === undefined) count += 1;
    }
  }
  return count;
}

function countsNow({ clients, recorder }: Stage): string {
  const count = (kind: 'sent' | 'requested' | 'pushed' | 'hooked'): string => `${kind} ${recorder.count(kind)}`;
  return `open ${clients.open.length}, ${count('sent')}, ${count('requested')}, ${count('pushed')}, ${count('hooked')}`;
}
