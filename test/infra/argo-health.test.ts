import assert from 'node:assert/strict';
import test from 'node:test';

import { apiVersion } from '../../crds/contract.ts';
import { kinds } from '../../crds/index.ts';
import { argoHealthData, HydrogenArgoHealth } from '../../infra/index.ts';
import { conditionsOf } from '../../operator/status/conditions.ts';
import type { Facts, Workload } from '../../operator/status/facts.ts';
import { checkHealth, luaOrSkip } from '../kit/lua.ts';
import { running, well } from '../operator/status/kit.ts';
import { at, find, synth } from './kit.ts';
import { isTrue, kstatus, type Reported, reportedCondition } from './kstatus.ts';

const skip = await luaOrSkip();
const [script = ''] = Object.values(argoHealthData());

const now = '2026-01-01T00:00:00Z';
const none: Workload = { ...running, desired: 0, existing: 0, updated: 0, available: 0, ready: 0 };
const { group: _, ...alone } = well;
const wellGroup: Facts = { ...alone, kind: 'HydrogenGroup', bus: { state: 'up' }, hasWorkload: false };

/** An object with the status that the operator writes for these facts. */
function object(facts: Facts, generation = facts.generation): Reported {
  const status = { observedGeneration: facts.generation, conditions: conditionsOf(facts, [], now) };
  const deletion = facts.deleting === undefined ? {} : { deletionTimestamp: now };
  return { apiVersion, kind: facts.kind, metadata: { name: facts.name, generation, ...deletion }, status };
}

/** The health according to kstatus, with the intended exceptions. */
function expected(thing: Reported): string {
  const found = kstatus(thing);
  if (found === 'Terminating') return 'Progressing';
  // kstatus regards an object without conditions as finished.
  if (thing.status === undefined || thing.status.observedGeneration !== thing.metadata.generation) return 'Progressing';
  if (isTrue(thing, 'Paused')) return 'Suspended';
  const isWithoutPods = reportedCondition(thing, 'Ready')?.reason === 'ScaledToZero';
  if (isWithoutPods && !['Reconciling', 'Stalled', 'RollingOut'].some((type) => isTrue(thing, type))) return 'Healthy';
  return { InProgress: 'Progressing', Failed: 'Degraded', Current: 'Healthy' }[found];
}

/** Ready, except for a condition of kstatus that says that work is going on, which takes precedence. */
function busy(): Reported {
  const reported = object(well);
  const [ready] = conditionsOf(well, [], now);
  const conditions = [...(reported.status?.conditions ?? [])];
  if (ready) conditions.push({ ...ready, type: 'Reconciling', reason: 'PodsUpdating', message: 'at work' });
  return { ...reported, status: { ...reported.status, conditions } };
}

const stuck = { ...running, isStuck: true };
const invalid = { issues: [{ path: 'spec.endpoints', message: 'is empty' }] };
const unread: Facts = { ...wellGroup, bus: { state: 'unchecked', message: 'grant it' } };
const leaving = { deleting: { reason: 'WaitingForMembers', message: 'delete HydrogenGateway/chat' } } as const;

/** The object, its health, its status in kstatus, and the condition whose message is shown. */
const cases: Readonly<Record<string, readonly [Reported, string, string, string?]>> = {
  'without a status': [
    { apiVersion, kind: 'HydrogenGateway', metadata: { name: 'chat', generation: 1 } },
    'Progressing',
    'Current',
  ],
  'whose latest change the operator has not seen': [object(well, 4), 'Progressing', 'InProgress'],
  'in order': [object(well), 'Healthy', 'Current', 'Ready'],
  paused: [object({ ...well, pausedBy: 'object' }), 'Suspended', 'Current', 'Paused'],
  'paused with a change that is kept back': [
    object({ ...well, pausedBy: 'object', unapplied: ['Deployment/chat-gateway'] }),
    'Suspended',
    'InProgress',
    'Paused',
  ],
  'paused with its group': [object({ ...well, pausedBy: 'group' }), 'Suspended', 'Current', 'Paused'],
  'paused without its pods': [
    object({ ...well, pausedBy: 'object', workload: { ...running, available: 1 } }),
    'Suspended',
    'InProgress',
    'Paused',
  ],
  'with an invalid specification': [object({ ...well, ...invalid }), 'Degraded', 'Failed', 'Stalled'],
  'that makes no progress': [object({ ...well, workload: stuck }), 'Degraded', 'Failed', 'Stalled'],
  'without a group': [object({ ...well, group: { state: 'missing' } }), 'Progressing', 'InProgress', 'Reconciling'],
  'whose pods start': [
    object({ ...well, workload: { ...running, available: 1 } }),
    'Progressing',
    'InProgress',
    'Reconciling',
  ],
  'that rolls out': [
    object({ ...well, workload: { ...running, existing: 3 } }),
    'Progressing',
    'InProgress',
    'RollingOut',
  ],
  'without pods, as asked': [object({ ...well, workload: none }), 'Healthy', 'InProgress', 'Available'],
  'on its way to no pods': [
    object({ ...well, workload: { ...none, isObserved: false } }),
    'Progressing',
    'InProgress',
    'RollingOut',
  ],
  'that is Ready and Reconciling': [busy(), 'Progressing', 'InProgress', 'Reconciling'],
  'whose bus cannot be checked': [object(unread), 'Progressing', 'InProgress', 'Ready'],
  'that is deleted': [object({ ...wellGroup, ...leaving }), 'Progressing', 'Terminating'],
};

for (const [what, [thing, health, rule, source]] of Object.entries(cases)) {
  test(`an object ${what} is ${health}; kstatus says ${rule}`, { skip }, async () => {
    const [found] = await checkHealth(script, [thing]);
    assert.equal(found?.status, health);
    assert.equal(kstatus(thing), rule);
    if (source === undefined)
      assert.match(found?.message ?? '', /^(waiting for the hydrogen operator|Pending deletion)/);
    else assert.equal(found?.message, reportedCondition(thing, source)?.message);
  });
}

test('for every report of the operator, the health is that of kstatus, except when paused or without pods', {
  skip,
}, async () => {
  const problems: Partial<Facts>[] = [
    {},
    invalid,
    { problem: { reason: 'NameConflict', objects: ['Service/a'] } },
    { problem: { reason: 'WaitingForRemoval', objects: ['Service/a'] } },
    { problem: { reason: 'ApplyRefused', message: 'no' } },
    { problem: { reason: 'ApplyForbidden', message: 'no' } },
  ];
  const groups: Facts[] = [
    well,
    { ...well, group: { state: 'missing' } },
    { ...well, group: { state: 'notReady', message: 'no bus' } },
    { ...well, group: { state: 'consumersRefused', message: 'no more consumers' } },
  ];
  const buses: Facts[] = [
    wellGroup,
    { ...wellGroup, bus: { state: 'connecting' } },
    ...(['down', 'refused', 'conflict', 'unchecked', 'paused'] as const).map((state) => ({
      ...wellGroup,
      bus: { state, message: 'why' },
    })),
  ];
  const workloads: Partial<Facts>[] = [
    { workload: undefined, hasWorkload: false },
    { workload: undefined, hasWorkload: true },
    ...[
      running,
      none,
      stuck,
      { ...running, available: 1 },
      { ...running, existing: 3 },
      { ...none, isObserved: false },
    ].map((workload) => ({ workload, hasWorkload: true })),
  ];
  const pauses: Partial<Facts>[] = [
    {},
    { pausedBy: 'object' },
    { pausedBy: 'group' },
    { pausedBy: 'object', unapplied: ['Deployment/chat-gateway'] },
  ];
  const ends: Partial<Facts>[] = [{}, leaving];
  const things = [...groups, ...buses].flatMap((facts) =>
    problems.flatMap((problem) =>
      workloads.flatMap((workload) =>
        pauses.flatMap((pause) =>
          ends.flatMap((end) =>
            [3, 4].map((generation) => object({ ...facts, ...problem, ...workload, ...pause, ...end }, generation)),
          ),
        ),
      ),
    ),
  );
  const found = await checkHealth(script, things);
  assert.equal(found.length, 11 * 6 * 8 * 4 * 2 * 2);
  const seen = new Set<string>();
  for (const [index, thing] of things.entries()) {
    seen.add(expected(thing));
    assert.equal(found[index]?.status, expected(thing), JSON.stringify(thing, null, 2));
  }
  assert.deepEqual([...seen].sort(), ['Degraded', 'Healthy', 'Progressing', 'Suspended']);
});

test('a script that needs a library that Argo CD withholds is refused', { skip }, async () => {
  await assert.rejects(checkHealth('return { status = string.upper("healthy") }', [{}]), /nil/);
});

test('the config map is argocd-cm with the labels that Argo CD asks for, and a check for each kind', () => {
  const config = find(
    synth((chart) => new HydrogenArgoHealth(chart, 'health')),
    'ConfigMap',
    'argocd-cm',
  );
  assert.deepEqual(at(config, 'metadata'), {
    name: 'argocd-cm',
    namespace: 'argocd',
    labels: { 'app.kubernetes.io/name': 'argocd-cm', 'app.kubernetes.io/part-of': 'argocd' },
  });
  const keys = Object.keys(at(config, 'data') as object).sort();
  assert.deepEqual(
    keys,
    Object.keys(kinds)
      .map((kind) => `resource.customizations.health.hydrogen.dev_${kind}`)
      .sort(),
  );
  for (const key of keys) assert.match(key, /^[-._a-zA-Z0-9]+$/);
  const elsewhere = synth((chart) => new HydrogenArgoHealth(chart, 'health', { namespace: 'gitops' }), 'chart', 'shop');
  assert.equal(at(find(elsewhere, 'ConfigMap'), 'metadata.namespace'), 'gitops');
});
