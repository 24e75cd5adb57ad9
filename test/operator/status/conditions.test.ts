import assert from 'node:assert/strict';
import test from 'node:test';

import { aspects, isReasonOf, reasonDefinition } from '../../../crds/conditions.ts';
import type { Condition } from '../../../crds/index.ts';
import { conditionsOf } from '../../../operator/status/conditions.ts';
import type { ConfigurationFacts, Facts } from '../../../operator/status/facts.ts';
import { findingsOf } from '../../../operator/status/findings.ts';
import type { PodReport } from '../../../runtime/bus/port/reports.ts';
import { running, well } from './kit.ts';

const then = '2026-01-01T00:00:00Z';
const now = '2026-01-01T01:00:00Z';

function of(facts: Partial<Facts>, previous: readonly Condition[] = []): Record<string, Condition> {
  const conditions = conditionsOf({ ...well, ...facts }, previous, now);
  return Object.fromEntries(conditions.map((condition) => [condition.type, condition]));
}

/** Ready's status and reason, and which of the two kstatus conditions is present. */
function summary(facts: Partial<Facts>): string {
  const { Ready, Reconciling, Stalled } = of(facts);
  return `${Ready?.status} ${Ready?.reason}${Reconciling ? ' Reconciling' : ''}${Stalled ? ' Stalled' : ''}`;
}

test('an object whose conditions are all good is Ready, and neither Reconciling nor Stalled', () => {
  assert.equal(summary({}), 'True Ready');
  assert.deepEqual(Object.keys(of({})).sort(), [
    'Accepted',
    'Available',
    'GroupReady',
    'Paused',
    'Ready',
    'RollingOut',
  ]);
});

/** The reports of pods, or only their digests; `new` is what was applied last. */
function reports(...pods: readonly (string | Pick<PodReport, 'digest' | 'refused'>)[]): ConfigurationFacts {
  const said = pods.map((one, index): PodReport => {
    const report = typeof one === 'string' ? { digest: one } : one;
    return { kind: 'HydrogenGateway', name: 'chat', pod: `chat-gateway-${index}`, ...report };
  });
  return { state: 'known', wanted: 'new', pods: said };
}

const cases: readonly (readonly [string, Partial<Facts>, string])[] = [
  ['an invalid spec', { issues: [{ path: 'spec.endpoints', message: 'is empty' }] }, 'False InvalidSpec Stalled'],
  ['a missing group', { group: { state: 'missing' } }, 'False GroupNotFound Reconciling'],
  ['a foreign object', { problem: { reason: 'NameConflict', objects: ['Service/a'] } }, 'False NameConflict Stalled'],
  ['orphans', { problem: { reason: 'Orphaned', objects: ['Service/a'] } }, 'False Orphaned Stalled'],
  ['a missing right', { problem: { reason: 'ApplyForbidden', message: 'no' } }, 'False ApplyForbidden Stalled'],
  ['a group that is not ready', { group: { state: 'notReady', message: 'no bus' } }, 'False GroupNotReady Reconciling'],
  ['no workload yet', { workload: undefined }, 'False NotCreated Reconciling'],
  ['too few pods', { workload: { ...running, available: 1 } }, 'False PodsNotReady Reconciling'],
  [
    'a kind that the cluster lacks',
    { problem: { reason: 'KindMissing', kind: 'HTTPRoute', message: '404' } },
    'False KindMissing Stalled',
  ],
  ['endpoints without a processor', { endpoints: { counterpart: 'processor', missing: ['/a'] } }, 'True Ready'],
  ['endpoints without a gateway', { endpoints: { counterpart: 'gateway', missing: 'all' } }, 'True Ready'],
  ['endpoints that match', { endpoints: { counterpart: 'gateway', missing: [] } }, 'True Ready'],
  ['a management API without a token', { management: { hasToken: false } }, 'True Ready'],
  ['a management API with a token', { management: { hasToken: true } }, 'True Ready'],
  ['an ingress without trusted proxies', { exposure: { field: 'ingress', hasTrustedProxies: false } }, 'True Ready'],
  ['a route with trusted proxies', { exposure: { field: 'httpRoute', hasTrustedProxies: true } }, 'True Ready'],
  ['an autoscaler that works', { scaling: { failure: undefined } }, 'True Ready'],
  ['an autoscaler that does not work', { scaling: { failure: 'no metrics' } }, 'True Ready'],
  ['pods that are refused', { workload: { ...running, available: 1, refusal: 'quota' } }, 'False PodsRefused Stalled'],
  [
    'new pods that are refused',
    { workload: { ...running, updated: 1, existing: 3, refusal: 'quota' } },
    'False PodsRefused Stalled',
  ],
  ['pods that run what was applied', { configuration: reports('new', 'new') }, 'True Ready'],
  ['a pod that runs something else', { configuration: reports('new', 'old') }, 'False PodsConfiguring Reconciling'],
  ['a pod that does not answer', { configuration: reports('new') }, 'Unknown PodsSilent Reconciling'],
  ['pods that report nothing', { configuration: reports() }, 'True Ready'],
  ['pods that were not asked yet', { configuration: { state: 'asBefore', condition: undefined } }, 'True Ready'],
  [
    'a pod that refuses',
    { configuration: reports('old', { digest: 'old', refused: { digest: 'new', problem: 'no' } }) },
    'False ConfigurationRefused Stalled',
  ],
  [
    'a pod that refused what was applied earlier',
    { configuration: reports('new', { digest: 'new', refused: { digest: 'older', problem: 'no' } }) },
    'True Ready',
  ],
  ['a refusal that is over', { workload: { ...running, refusal: 'quota' } }, 'True Ready'],
  [
    'a write that keeps failing',
    { problem: { reason: 'ApplyFailing', message: 'dead' } },
    'False ApplyFailing Reconciling',
  ],
  [
    'a removal that keeps failing',
    { deleting: { reason: 'RemovalFailing', message: 'dead' } },
    'False RemovalFailing Reconciling',
  ],
  ['pods of two specifications', { workload: { ...running, existing: 3 } }, 'False PodsUpdating Reconciling'],
  [
    'a workload that was just changed',
    { workload: { ...running, isObserved: false } },
    'False PodsUpdating Reconciling',
  ],
  ['a roll-out without progress', { workload: { ...running, isStuck: true } }, 'False RolloutStuck Stalled'],
  [
    'no pods wanted',
    { workload: { ...running, desired: 0, existing: 0, updated: 0, available: 0 } },
    'False ScaledToZero',
  ],
  ['a bus that is being connected', { bus: { state: 'connecting' } }, 'Unknown Connecting Reconciling'],
  ['a bus out of reach', { bus: { state: 'down', message: 'refused' } }, 'False BusUnreachable Reconciling'],
  ['a stream with other settings', { bus: { state: 'conflict', message: 'file' } }, 'False StreamConflict Stalled'],
  ['a secret that may not be read', { bus: { state: 'unchecked', message: 'grant it' } }, 'Unknown SecretNotReadable'],
  ['streams that are missing in a pause', { bus: { state: 'paused', message: 'gone' } }, 'Unknown Paused'],
  [
    'a pause that holds back a change',
    { pausedBy: 'object', unapplied: ['Deployment/chat-gateway'] },
    'Unknown Paused',
  ],
  [
    'a pause before any children existed',
    { pausedBy: 'group', unapplied: ['Deployment/chat-gateway'], workload: undefined },
    'Unknown Paused',
  ],
  [
    'a deletion that waits',
    { deleting: { reason: 'WaitingForMembers', message: 'delete HydrogenGateway/chat' } },
    'False WaitingForMembers Reconciling',
  ],
];
for (const [what, facts, expected] of cases) {
  test(`${what} reads ${expected}`, () => assert.equal(summary(facts), expected));
}

test('lastTransitionTime changes only with the status', () => {
  const before = conditionsOf(well, [], then);
  const { Available, Accepted } = of({ workload: { ...running, available: 1 } }, before);
  assert.equal(Available?.lastTransitionTime, now);
  assert.equal(Accepted?.lastTransitionTime, then);
  const { Available: scaled } = of({ workload: { ...running, desired: 1 } }, before);
  assert.equal(scaled?.lastTransitionTime, then);
});

test('every message names its object, and every problem of a spec is in the message with its path', () => {
  const issues = [
    { path: 'spec.endpoints', message: 'is empty' },
    { path: 'spec.replicas', message: 'is too large' },
  ];
  const { Accepted } = of({ issues });
  assert.match(Accepted?.message ?? '', /HydrogenGateway\/chat.*spec\.endpoints is empty; spec\.replicas is too large/);
  const { Available } = of({ workload: { ...running, available: 1 } });
  assert.match(Available?.message ?? '', /Deployment\/chat-gateway/);
});

test('a message is never longer than an API server accepts', () => {
  const { Accepted } = of({ issues: [{ path: 'spec', message: 'x'.repeat(60_000) }] });
  assert.ok((Accepted?.message.length ?? 0) <= 4096);
});

test('a pause is shown, and an object whose specification is in force stays Ready', () => {
  assert.equal(of({ pausedBy: 'group' }).Paused?.reason, 'GroupPaused');
  assert.equal(summary({ pausedBy: 'object' }), 'True Ready');
});

/** Facts for the reasons that no case above leads to. */
const others: readonly Partial<Facts>[] = [
  {},
  { missingSecrets: ['there is no Secret/a in this namespace'] },
  { problem: { reason: 'WaitingForRemoval', objects: ['Service/a'] } },
  { problem: { reason: 'ApplyRefused', message: 'no' } },
  { group: { state: 'consumersRefused', message: 'no' } },
  { bus: { state: 'up' } },
  { bus: { state: 'refused', message: 'no' } },
  { heldImage: 'release:1' },
  { backlog: { state: 'asBefore', condition: undefined } },
  { backlog: { state: 'known', waiting: new Map() } },
  { backlog: { state: 'known', waiting: new Map([['bad', { messages: 3 }]]) } },
  { pausedBy: 'object' },
  ...(['RemovingConsumers', 'RemovingStreams'] as const).map((reason) => ({ deleting: { reason, message: 'wait' } })),
];

test('every reason of the table occurs, with the status that the table gives it', () => {
  const left = new Set(
    Object.entries(aspects).flatMap(([type, { reasons }]) => Object.keys(reasons).map((reason) => `${type} ${reason}`)),
  );
  for (const facts of [...cases.map(([, some]) => some), ...others]) {
    for (const { type, reason, status } of findingsOf({ ...well, ...facts })) {
      assert.ok(isReasonOf(type, reason), `${type}: ${reason}`);
      assert.equal(status, reasonDefinition(type, reason).status);
      left.delete(`${type} ${reason}`);
    }
  }
  assert.deepEqual([...left], []);
});

test('messages that wait for destinations are named with the largest first, and leave the object Ready', () => {
  const waiting = new Map([
    ['~deadLetters', { messages: 2 }],
    ['bad', { messages: 1240, oldestMs: 1_764_278_405_678, failingSinceMs: 1_764_278_409_012 }],
    ['~unrouted', { messages: 1 }],
    ['http://10.0.0.7:8080', { messages: 7, oldestMs: 1_764_278_405_678 }],
  ]);
  const { Delivering } = of({ backlog: { state: 'known', waiting } });
  assert.equal(Delivering?.status, 'False');
  assert.equal(
    Delivering?.message,
    'messages wait: 1240 for the destination of bad (oldest of 2025-11-27T21:20:05Z, failing since ' +
      '2025-11-27T21:20:09Z), 7 for the destination of http://10.0.0.7:8080 (oldest of 2025-11-27T21:20:05Z), ' +
      '2 for room in the dead-letter stream, 1 for earlier messages of their connection; ' +
      'repair what they wait for, and they follow by themselves',
  );
  assert.equal(summary({ backlog: { state: 'known', waiting } }), 'True Ready');
  const many = new Map(Array.from({ length: 300 }, (_, n) => [`rule-${n}`, { messages: n }] as const));
  assert.match(of({ backlog: { state: 'known', waiting: many } }).Delivering?.message ?? '', /and more for 292 others/);
});

test('what waits is as before a restart until NATS has been queried', () => {
  const waiting = new Map([['bad', { messages: 3 }]]);
  const condition = { ...of({ backlog: { state: 'known', waiting } }).Delivering } as Condition;
  assert.equal(of({ backlog: { state: 'asBefore', condition } }).Delivering?.message, condition.message);
  assert.equal(of({ backlog: { state: 'asBefore', condition: undefined } }).Delivering?.status, 'Unknown');
});

test('a condition of the bus from before a restart stays, unless its reason is unknown to this release', () => {
  const condition = { ...of({ bus: { state: 'conflict', message: 'file' } }).BusReachable } as Condition;
  assert.equal(summary({ bus: { state: 'asBefore', condition } }), 'False StreamConflict Stalled');
  const foreign = { ...condition, reason: 'StreamsOld' };
  assert.equal(summary({ bus: { state: 'asBefore', condition: foreign } }), 'Unknown Connecting Reconciling');
});
