/** Each kind of work of the comparison, in small, with hydrogen on a real nats-server: every message and push arrives. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Comparison } from '../../bench/comparison.ts';
import { hydrogen, hydrogenDev } from '../../bench/paths/hydrogen.ts';
import type { System } from '../../bench/paths/path.ts';
import { measureBacklog } from '../../bench/scenarios/backlog.ts';
import { measureClosedLoop } from '../../bench/scenarios/closed-loop.ts';
import { measureConnectStorm } from '../../bench/scenarios/connections.ts';
import { measureOpenLoop } from '../../bench/scenarios/open-loop.ts';
import { measureBroadcast, measurePush } from '../../bench/scenarios/pushes.ts';
import type { Figures, Round, Scenario } from '../../bench/scenarios/scenario.ts';
import { natsOrSkip } from '../kit/nats.ts';

const skip = await natsOrSkip();
const loop = { connections: 4, bytes: 64 };
const ordered = { ordering: 'PerConnection', variant: 'in order' } as const;

type Work = (round: Round) => Promise<Figures>;

/** Each with what it needs of hydrogen. */
const works: readonly (readonly [title: string, system: System, work: Work])[] = [
  ['a closed loop', hydrogen(), (round) => measureClosedLoop(round, { ...loop, outstanding: 8 })],
  ['a closed loop in order', hydrogen(ordered), (round) => measureClosedLoop(round, { ...loop, isOrdered: true })],
  [
    'an open loop',
    hydrogenDev({ hasSlowRule: true }),
    (round) => measureOpenLoop(round, { ...loop, rate: 100, slow: { connections: 1, rate: 2 } }),
  ],
  ['a backlog', hydrogen({ hasReplies: false }), (round) => measureBacklog(round, { ...loop, messages: 400 })],
  [
    'pushes through another gateway',
    hydrogen({ gateways: 2 }),
    (round) => measurePush(round, { connections: 4, pushers: 2, through: 'other' }),
  ],
  ['a broadcast', hydrogenDev(), (round) => measureBroadcast(round, 20)],
  ['connects with an authorizer', hydrogenDev({ hasAuthorizer: true }), measureConnectStorm],
];

for (const [title, system, measure] of works) {
  test(`${title} yields figures`, { skip }, async () => {
    await using comparison = await Comparison.start({ rounds: 1, seconds: 1, against: undefined, products: undefined });
    const scenario: Scenario = { name: title, title, unit: 'units', systems: [system], measure };
    const { systems, notRun } = await comparison.measure(scenario);
    assert.deepEqual(notRun, []);
    const [figures] = systems[0]?.rounds ?? [];
    assert.ok(figures !== undefined && figures.rate > 0);
    assert.ok(Object.values(figures.residentBytes).every((bytes) => bytes > 1e6));
    if (title === 'a backlog') assert.equal(figures.more?.repeated, 0);
  });
}
