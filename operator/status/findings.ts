/**
 * One state of each aspect of an object. Every reason is in the list, and every message names the object and says what to do.
 */
import type { Condition } from '../../crds/index.ts';
import type { BusFacts, Facts, GroupFacts } from './facts.ts';
import { podSelectorOf } from './workload.ts';

/** Every reason that a condition can have. */
export const reasons = {
  Accepted: [
    'Accepted',
    'InvalidSpec',
    'GroupNotFound',
    'SecretNotFound',
    'NameConflict',
    'WaitingForRemoval',
    'ApplyRefused',
    'ApplyForbidden',
    'Paused',
  ],
  GroupReady: ['GroupReady', 'GroupNotReady', 'GroupNotFound', 'ConsumersRefused'],
  BusReachable: [
    'BusReachable',
    'Connecting',
    'BusUnreachable',
    'StreamRefused',
    'StreamConflict',
    'SecretNotReadable',
    'Paused',
  ],
  Available: ['Available', 'NotCreated', 'PodsNotReady', 'ScaledToZero'],
  RollingOut: ['RolledOut', 'NotCreated', 'PodsUpdating', 'RolloutStuck', 'UpgradeWaiting'],
  Paused: ['NotPaused', 'Paused', 'GroupPaused'],
  Deleting: ['WaitingForMembers', 'RemovingConsumers', 'RemovingStreams'],
} as const;

export type Aspect = keyof typeof reasons;

/** One state of one aspect. */
export type Finding = {
  [A in Aspect]: {
    readonly type: A;
    readonly status: Condition['status'];
    readonly reason: (typeof reasons)[A][number];
    readonly message: string;
  };
}[Aspect];

/** Every aspect that these facts say something of. */
export function findingsOf(facts: Facts): Finding[] {
  return [
    acceptedOf(facts),
    ...(facts.group ? [groupReadyOf(facts, facts.group)] : []),
    ...(facts.bus ? [busReachableOf(facts.bus)] : []),
    ...(facts.hasWorkload ? [availableOf(facts), rollingOutOf(facts)] : []),
    pausedOf(facts),
    ...(facts.deleting ? [{ type: 'Deleting', status: 'True', ...facts.deleting } as const] : []),
  ];
}

function acceptedOf(facts: Facts): Finding {
  const { kind, name, issues, group, groupName, missingSecrets = [], unapplied = [], problem } = facts;
  const type = 'Accepted';
  if (issues) {
    const list = issues.map(({ path, message }) => (path === '' ? message : `${path} ${message}`)).join('; ');
    const message = `${kind}/${name} is invalid, what was applied last stays in force: ${list}`;
    return { type, status: 'False', reason: 'InvalidSpec', message };
  }
  if (group?.state === 'missing') {
    const message = `there is no valid HydrogenGroup ${groupName} in this namespace; create or repair it, or correct spec.groupRef.name`;
    return { type, status: 'False', reason: 'GroupNotFound', message };
  }
  if (missingSecrets.length > 0) {
    const message = `what was applied last stays in force: ${missingSecrets.join('; ')}`;
    return { type, status: 'False', reason: 'SecretNotFound', message };
  }
  if (unapplied.length > 0) {
    const message = `nothing is applied while paused, and what is there is not what ${kind}/${name} stands for now: to go on would create, change or delete ${unapplied.join(', ')}`;
    return { type, status: 'Unknown', reason: 'Paused', message };
  }
  if (problem === undefined)
    return { type, status: 'True', reason: 'Accepted', message: 'the specification is in force' };
  if (problem.reason === 'NameConflict') {
    const message = `${problem.objects.join(', ')} exists and does not belong to ${kind}/${name}; delete it or choose another name`;
    return { type, status: 'False', reason: problem.reason, message };
  }
  if (problem.reason === 'WaitingForRemoval') {
    const message = `${problem.objects.join(', ')} of an earlier ${kind}/${name} is still being removed`;
    return { type, status: 'False', reason: problem.reason, message };
  }
  const advice =
    problem.reason === 'ApplyForbidden'
      ? "the operator's service account lacks a right; apply dist/operator.yaml of this release again, or grant it"
      : 'the API server refuses what the specification asks for; correct it';
  return { type, status: 'False', reason: problem.reason, message: `${advice}: ${problem.message}` };
}

function groupReadyOf({ groupName }: Facts, group: GroupFacts): Finding {
  const type = 'GroupReady';
  switch (group.state) {
    case 'ready':
      return { type, status: 'True', reason: 'GroupReady', message: `HydrogenGroup/${groupName} is ready` };
    case 'missing':
      return {
        type,
        status: 'False',
        reason: 'GroupNotFound',
        message: `there is no valid HydrogenGroup/${groupName}`,
      };
    case 'notReady':
      return {
        type,
        status: 'False',
        reason: 'GroupNotReady',
        message: `HydrogenGroup/${groupName}: ${group.message}`,
      };
    case 'consumersRefused':
      return {
        type,
        status: 'False',
        reason: 'ConsumersRefused',
        message: `NATS refuses the consumers: ${group.message}`,
      };
  }
}

function busReachableOf(bus: BusFacts): Finding {
  const type = 'BusReachable';
  switch (bus.state) {
    case 'up':
      return { type, status: 'True', reason: 'BusReachable', message: 'NATS is connected and has the streams' };
    case 'connecting':
      return { type, status: 'Unknown', reason: 'Connecting', message: 'a connection to NATS is being made' };
    case 'asBefore': {
      const { status, message } = bus.condition;
      const reason = bus.condition.reason as 'BusReachable'; // or whichever it was: it comes from here
      return { type, status, reason, message };
    }
    case 'down':
      return {
        type,
        status: 'False',
        reason: 'BusUnreachable',
        message: `NATS cannot be reached; check spec.nats and that the servers run with JetStream: ${bus.message}`,
      };
    case 'refused':
      return {
        type,
        status: 'False',
        reason: 'StreamRefused',
        message: `NATS refuses the streams; check JetStream and the limits of the account: ${bus.message}`,
      };
    case 'conflict':
      return {
        type,
        status: 'False',
        reason: 'StreamConflict',
        message: `a stream exists with other settings that cannot be changed; delete it or set spec.stream to them: ${bus.message}`,
      };
    case 'unchecked':
      return { type, status: 'Unknown', reason: 'SecretNotReadable', message: bus.message };
    case 'paused':
      return {
        type,
        status: 'Unknown',
        reason: 'Paused',
        message: `NATS is connected; while paused, nothing is done about its streams: ${bus.message}`,
      };
  }
}

function availableOf({ workload, kind, name }: Facts): Finding {
  const type = 'Available';
  if (workload === undefined) {
    return { type, status: 'False', reason: 'NotCreated', message: `${kind}/${name} has no workload yet` };
  }
  const { object, available, desired } = workload;
  if (desired === 0) {
    return {
      type,
      status: 'False',
      reason: 'ScaledToZero',
      message: `${object} is scaled to no pods; set spec.replicas`,
    };
  }
  if (available >= desired) {
    return {
      type,
      status: 'True',
      reason: 'Available',
      message: `${available} of ${desired} pods of ${object} are available`,
    };
  }
  const message = `${available} of ${desired} pods of ${object} are available; see kubectl describe pods -l ${podSelectorOf(kind, name)}`;
  return { type, status: 'False', reason: 'PodsNotReady', message };
}

function rollingOutOf({ workload, kind, name, heldImage }: Facts): Finding {
  const type = 'RollingOut';
  if (workload === undefined) {
    return { type, status: 'False', reason: 'NotCreated', message: `${kind}/${name} has no workload yet` };
  }
  const { object, desired, updated, existing, isObserved, isStuck } = workload;
  if (isStuck) {
    const message = `${object} makes no progress; see kubectl describe pods -l ${podSelectorOf(kind, name)}`;
    return { type, status: 'True', reason: 'RolloutStuck', message };
  }
  if (!isObserved || updated < desired || existing > updated) {
    const message = `${updated} of ${desired} pods of ${object} run what was applied last, ${existing} exist`;
    return { type, status: 'True', reason: 'PodsUpdating', message };
  }
  if (heldImage !== undefined) {
    const message = `${object} stays as it is, with ${heldImage}, until it is its turn to become what this release makes of it; set spec.template.image to hold an image`;
    return { type, status: 'False', reason: 'UpgradeWaiting', message };
  }
  return {
    type,
    status: 'False',
    reason: 'RolledOut',
    message: `every pod of ${object} runs what was applied last`,
  };
}

function pausedOf({ pausedBy, groupName }: Facts): Finding {
  const type = 'Paused';
  if (pausedBy === 'object') {
    const message = 'the operator changes nothing; set spec.paused to false to go on';
    return { type, status: 'True', reason: 'Paused', message };
  }
  if (pausedBy === 'group') {
    const message = `the operator changes nothing because HydrogenGroup/${groupName} is paused`;
    return { type, status: 'True', reason: 'GroupPaused', message };
  }
  return { type, status: 'False', reason: 'NotPaused', message: 'the operator keeps the object as specified' };
}
