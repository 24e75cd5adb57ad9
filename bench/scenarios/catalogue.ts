/** Every scenario of the comparison, in the order of the table. */

import { centrifugo } from '../paths/centrifugo.ts';
import { hydrogen, hydrogenDev } from '../paths/hydrogen.ts';
import type { System } from '../paths/path.ts';
import { pushpin } from '../paths/pushpin.ts';
import { byHand, floor, raw } from '../paths/single-process.ts';
import { measureBacklog } from './backlog.ts';
import { type ClosedLoop, measureClosedLoop } from './closed-loop.ts';
import { measureConnectStorm, measureIdle } from './connections.ts';
import { measureOpenLoop } from './open-loop.ts';
import { measureBroadcast, measurePush } from './pushes.ts';
import type { Goal, Scenario } from './scenario.ts';

const everyone: readonly System[] = [floor(), hydrogen(), hydrogenDev(), byHand(), centrifugo(), pushpin()];
const inOrder = { variant: 'in order', ordering: 'PerConnection' } as const;
const withTokens = hydrogen({ variant: 'tokens', hasTokens: true });
/** The clients of a backlog have left. */
const drained = { hasReplies: false } as const;
const idleConnections = 15_000;

const memory: Goal = {
  text: 'memory: largest process / floor',
  value: (of) => of('hydrogen').largestBytes / of('floor').largestBytes,
  atMost: 1.25,
};

export const scenarios: readonly Scenario[] = [
  echo('echo', 'Echo, 100 connections, 64 B', { connections: 100, bytes: 64 }, [
    ratio('rate: hydrogen / floor', 'hydrogen', 'floor', 0.6),
    ratio('rate: hydrogen dev / floor', 'hydrogen dev', 'floor', 0.75),
    cpu('hydrogen', 100),
    memory,
    {
      text: 'memory before the first client, largest process, MB',
      value: (of) => of('hydrogen').largestIdleBytes / 1e6,
      atMost: 100,
    },
  ]),
  echo('echo-4k', 'Echo, 100 connections, 4 kB', { connections: 100, bytes: 4_096 }, [
    ratio('rate: hydrogen / Centrifugo', 'hydrogen', 'Centrifugo', 1),
  ]),
  echo('echo-1000', 'Echo, 1,000 connections, 64 B', { connections: 1_000, bytes: 64 }, [
    ratio('rate: hydrogen / floor', 'hydrogen', 'floor', 0.8),
    ratio('rate: hydrogen / Centrifugo', 'hydrogen', 'Centrifugo', 1),
    memory,
  ]),
  echo('echo-10', 'Echo, 10 connections, 64 B', { connections: 10, bytes: 64 }, [
    ratio('rate: hydrogen / floor', 'hydrogen', 'floor', 0.35),
    p50('hydrogen', 1.8),
  ]),
  {
    name: 'ping-pong',
    title: 'One connection, one message at a time, 64 B',
    unit: 'answers',
    systems: [...everyone, hydrogen({ variant: 'three replicas', replicas: 3 })],
    goals: [p50('hydrogen', 0.85), p50('hydrogen, three replicas', 2)],
    measure: (round) => measureClosedLoop(round, { connections: 1, bytes: 64 }),
  },
  {
    name: 'offered-1000',
    title: '1,000 messages/s offered on 100 connections, 64 B',
    unit: 'answers',
    systems: everyone,
    goals: [cpu('hydrogen', 600)],
    measure: (round) => measureOpenLoop(round, { connections: 100, bytes: 64, rate: 1_000 }),
  },
  {
    name: 'outstanding-64',
    title: 'One connection, 64 messages outstanding, in order, 64 B',
    unit: 'answers',
    systems: [
      floor({ variant: 'one after another', isOrdered: true }),
      hydrogen(inOrder),
      hydrogen({ ...inOrder, variant: 'in order, three replicas', replicas: 3 }),
      hydrogenDev(inOrder),
      centrifugo(),
      pushpin(),
    ],
    goals: [
      ratio('rate: hydrogen / one after another', 'hydrogen, in order', 'floor, one after another', 0.6),
      ratio('the same with three replicas', 'hydrogen, in order, three replicas', 'floor, one after another', 0.5),
    ],
    measure: (round) => measureClosedLoop(round, { connections: 1, bytes: 64, outstanding: 64, isOrdered: true }),
  },
  {
    name: 'ordered',
    title: 'PerConnection beside Unordered, 100 connections, 64 B',
    unit: 'answers',
    systems: [hydrogen(), hydrogen(inOrder)],
    goals: [
      ratio('rate: in order / not', 'hydrogen, in order', 'hydrogen', 0.9),
      {
        text: 'CPU: not / in order',
        value: (of) => of('hydrogen').cpuMicroseconds / of('hydrogen, in order').cpuMicroseconds,
        atLeast: 0.9,
      },
    ],
    measure: (round) =>
      measureClosedLoop(round, { connections: 100, bytes: 64, isOrdered: round.path.name.endsWith(inOrder.variant) }),
  },
  {
    name: 'backlog',
    title: 'Backlog of 50,000 from 100 connections, drained by one processor, 64 B',
    unit: 'deliveries',
    systems: [hydrogen(drained), hydrogen({ ...inOrder, ...drained })],
    goals: [
      { text: 'rate', value: (of) => of('hydrogen').rate, atLeast: 20_000 },
      { text: 'rate in order', value: (of) => of('hydrogen, in order').rate, atLeast: 15_000 },
      { text: 'stored while filling', value: (of) => of('hydrogen').more('stored/s'), atLeast: 60_000 },
    ],
    measure: (round) => measureBacklog(round, { connections: 100, messages: 50_000, bytes: 64 }),
  },
  {
    name: 'backlog-one',
    title: 'Backlog of 20,000 from one connection, drained by one processor, 64 B',
    unit: 'deliveries',
    systems: [hydrogen({ ...drained, maxStoredPerConnection: 100_000 })],
    goals: [{ text: 'stored while filling', value: (of) => of('hydrogen').more('stored/s'), atLeast: 40_000 }],
    measure: (round) => measureBacklog(round, { connections: 1, messages: 20_000, bytes: 64 }),
  },
  {
    name: 'push-owner',
    title: 'Push by id, 32 pushers, through the gateway that owns the connection',
    unit: 'pushes',
    systems: [hydrogen(), hydrogenDev(), centrifugo({ hasChannels: true })],
    goals: [ratio('rate: hydrogen / Centrifugo', 'hydrogen', 'Centrifugo', 1)],
    measure: (round) => measurePush(round, { connections: 100, pushers: 32, through: 'owner' }),
  },
  {
    name: 'push-other',
    title: 'Push by id, 32 pushers, through another gateway',
    unit: 'pushes',
    systems: [hydrogen({ gateways: 2 }), centrifugo({ nodes: 2, hasChannels: true })],
    goals: [ratio('rate: hydrogen / Centrifugo', 'hydrogen', 'Centrifugo', 1)],
    measure: (round) => measurePush(round, { connections: 100, pushers: 32, through: 'other' }),
  },
  {
    name: 'broadcast',
    title: 'Broadcast to 5,000 connections of one gateway, 64 B',
    unit: 'deliveries',
    systems: [raw(), hydrogen(), hydrogenDev(), centrifugo({ hasChannels: true })],
    goals: [ratio('rate: hydrogen / raw', 'hydrogen', 'raw', 0.9)],
    measure: (round) => measureBroadcast(round, 5_000),
  },
  {
    name: 'connect-storm',
    title: 'Connects, 32 at a time, each of which asks an HTTP authorizer',
    unit: 'connects',
    systems: [
      floor({ hasAuthorizer: true }),
      hydrogen({ hasAuthorizer: true }),
      hydrogenDev({ hasAuthorizer: true }),
      byHand({ hasAuthorizer: true }),
      centrifugo({ hasAuthorizer: true }),
      pushpin(),
    ],
    goals: [ratio('rate: hydrogen / floor', 'hydrogen', 'floor', 0.9)],
    measure: measureConnectStorm,
  },
  {
    name: 'connect-storm-tokens',
    title: 'Connects, 32 at a time, with a JSON Web Token (RS256), beside those without any authorizer',
    unit: 'connects',
    systems: [hydrogen(), withTokens, hydrogen({ variant: 'HTTP authorizer', hasAuthorizer: true })],
    goals: [ratio('rate: with tokens / without', 'hydrogen, tokens', 'hydrogen', 0.8)],
    measure: measureConnectStorm,
  },
  {
    name: 'idle',
    title: `Idle connections, ${idleConnections.toLocaleString('en')} of one process`,
    unit: 'connects',
    systems: everyone,
    // Memory that a process once had stays with it.
    isFreshEachRound: true,
    goals: [{ text: 'memory of a connection, kB', value: (of) => of('hydrogen').more('kB/connection'), atMost: 8 }],
    measure: (round) => measureIdle(round, idleConnections),
  },
  {
    name: 'slow',
    title: '3,000 messages/s offered, 5 % of them to a destination that takes 2 s; figures of the others',
    unit: 'answers',
    systems: [
      hydrogen({ hasSlowRule: true }),
      hydrogen({ ...inOrder, hasSlowRule: true }),
      hydrogen({ variant: 'maxInFlight 1024', maxInFlight: 1_024, hasSlowRule: true }),
      byHand(),
      centrifugo(),
    ],
    goals: [p99('hydrogen', 25), p99('hydrogen, in order', 25)],
    measure: (round) => {
      // It takes longer than a slow answer until as many slow ones begin as end.
      const long = { ...round, warmUpSeconds: Math.max(3, round.warmUpSeconds), seconds: Math.max(4, round.seconds) };
      // A client's own slow messages hold up its others in systems that keep order, so slow ones have clients of their own.
      const slow = { connections: 400, rate: 150 };
      return measureOpenLoop(long, { connections: 100, bytes: 64, rate: 2_850, slow });
    },
  },
];

function echo(name: string, title: string, loop: ClosedLoop, goals: readonly Goal[]): Scenario {
  return { name, title, unit: 'answers', systems: everyone, goals, measure: (round) => measureClosedLoop(round, loop) };
}

function ratio(text: string, one: string, other: string, atLeast: number): Goal {
  return { text, value: (of) => of(one).rate / of(other).rate, atLeast };
}

function cpu(system: string, atMost: number): Goal {
  return { text: `CPU of ${system}, us`, value: (of) => of(system).cpuMicroseconds, atMost };
}

function p50(system: string, atMost: number): Goal {
  return { text: `p50 of ${system}, ms`, value: (of) => of(system).p50Ms, atMost };
}

function p99(system: string, atMost: number): Goal {
  return { text: `p99 of ${system}, ms`, value: (of) => of(system).p99Ms, atMost };
}
