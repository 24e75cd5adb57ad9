/** Findings: the facts, judged for each aspect of an object. Every message names the object and says what to do. */
import {
  type Aspect,
  type ConditionStatus,
  isReasonOf,
  type ReasonDefinition,
  type ReasonOf,
  reasonDefinition,
} from '../../crds/conditions.ts';
import { deadLetterRoom, unroutedRoom } from '../../crds/waiting-rooms.ts';
import { adoptAnnotation } from '../kube/objects.ts';
import { configuredAs } from './configuration.ts';
import type {
  ApplyProblem,
  BacklogFacts,
  BusFacts,
  EndpointFacts,
  Facts,
  GroupFacts,
  WaitingMessages,
} from './facts.ts';
import { podSelectorOf } from './workload.ts';

/** The state of one aspect. */
export interface Finding extends Pick<ReasonDefinition, 'progress'> {
  readonly type: Aspect;
  readonly status: ConditionStatus;
  readonly reason: string;
  readonly message: string;
}

/** One finding for each aspect that the facts cover. */
export function findingsOf(facts: Facts): Finding[] {
  return [
    acceptedOf(facts),
    ...(facts.group ? [groupReadyOf(facts, facts.group)] : []),
    ...(facts.bus ? [busReachableOf(facts.bus)] : []),
    ...(facts.hasWorkload ? [availableOf(facts), rollingOutOf(facts)] : []),
    ...(facts.configuration ? [finding('Configured', ...configuredAs(facts, facts.configuration))] : []),
    ...(facts.backlog ? [deliveringOf(facts.backlog)] : []),
    ...(facts.endpoints ? [endpointsMatchedOf(facts, facts.endpoints)] : []),
    ...(facts.scaling ? [scalingOf(facts.scaling)] : []),
    ...(facts.management ? [managementOf(facts.management)] : []),
    ...(facts.exposure ? [clientAddressesOf(facts.exposure)] : []),
    pausedOf(facts),
    ...(facts.deleting ? [finding('Deleting', facts.deleting.reason, facts.deleting.message)] : []),
  ];
}

function finding<A extends Aspect>(type: A, reason: ReasonOf<A>, message: string): Finding {
  const { status, progress } = reasonDefinition(type, reason);
  return { type, status, progress, reason, message };
}

function acceptedOf(facts: Facts): Finding {
  const { kind, name, issues, group, groupName, missingSecrets = [], unapplied = [], problem } = facts;
  const object = `${kind}/${name}`;
  if (issues) {
    const list = issues.map(({ path, message }) => (path === '' ? message : `${path} ${message}`)).join('; ');
    return finding('Accepted', 'InvalidSpec', `${object} is invalid; what was applied last stays in force: ${list}`);
  }
  if (group?.state === 'missing') {
    return finding(
      'Accepted',
      'GroupNotFound',
      `there is no valid HydrogenGroup ${groupName} in this namespace; create or correct it, or correct spec.groupRef.name`,
    );
  }
  if (missingSecrets.length > 0) {
    return finding('Accepted', 'SecretNotFound', `what was applied last stays in force: ${missingSecrets.join('; ')}`);
  }
  if (unapplied.length > 0) {
    return finding(
      'Accepted',
      'Paused',
      `nothing is applied while paused, and the children differ from what ${object} specifies; resuming would create, change or delete ${unapplied.join(', ')}`,
    );
  }
  if (problem === undefined) return finding('Accepted', 'Accepted', 'the specification is in force');
  return finding('Accepted', problem.reason, problemMessage(problem, object));
}

function problemMessage(problem: ApplyProblem, object: string): string {
  switch (problem.reason) {
    case 'NameConflict':
      return `${problem.objects.join(', ')} exists and does not belong to ${object}; delete it or choose another name`;
    case 'Orphaned':
      return `an earlier ${object} has left its children behind; to take them over, annotate this one with ${adoptAnnotation}=${problem.objects.join(',')}; otherwise delete them`;
    case 'WaitingForRemoval':
      return `${problem.objects.join(', ')} of an earlier ${object} is still being removed`;
    case 'ApplyForbidden':
      return `the operator's service account lacks a right; apply dist/operator.yaml of this release again, or grant it: ${problem.message}`;
    case 'ApplyRefused':
      return `the API server refuses what the specification asks for; correct the specification, or lift what forbids it (a quota, a policy, a webhook): ${problem.message}`;
    case 'ApplyFailing':
      return problem.message;
    case 'KindMissing':
      return `the cluster has no ${problem.kind}; install the Gateway API (https://gateway-api.sigs.k8s.io), or use spec.ingress: ${problem.message}`;
  }
}

function groupReadyOf({ groupName }: Facts, group: GroupFacts): Finding {
  switch (group.state) {
    case 'ready':
      return finding('GroupReady', 'GroupReady', `HydrogenGroup/${groupName} is ready`);
    case 'missing':
      return finding('GroupReady', 'GroupNotFound', `there is no valid HydrogenGroup/${groupName}`);
    case 'notReady':
      return finding('GroupReady', 'GroupNotReady', `HydrogenGroup/${groupName}: ${group.message}`);
    case 'consumersRefused':
      return finding('GroupReady', 'ConsumersRefused', `NATS refuses the consumers: ${group.message}`);
  }
}

function busReachableOf(bus: BusFacts): Finding {
  switch (bus.state) {
    case 'up':
      return finding('BusReachable', 'BusReachable', 'NATS is connected and has the streams');
    case 'connecting':
      return finding('BusReachable', 'Connecting', connectingMessage);
    case 'asBefore': {
      // It may have been written by a release with other reasons.
      const { reason, message } = bus.condition;
      return isReasonOf('BusReachable', reason)
        ? finding('BusReachable', reason, message)
        : finding('BusReachable', 'Connecting', connectingMessage);
    }
    case 'down':
      return finding(
        'BusReachable',
        'BusUnreachable',
        `NATS cannot be reached; check spec.nats and that the servers run with JetStream: ${bus.message}`,
      );
    case 'refused':
      return finding(
        'BusReachable',
        'StreamRefused',
        `NATS refuses the streams; check JetStream and the limits of the account: ${bus.message}`,
      );
    case 'conflict':
      return finding(
        'BusReachable',
        'StreamConflict',
        'a stream is not as specified; if it exists with other settings, delete it or set spec.stream accordingly, if it ' +
          `was refused, raise the limits of the account: ${bus.message}`,
      );
    case 'unchecked':
      return finding('BusReachable', 'SecretNotReadable', bus.message);
    case 'paused':
      return finding(
        'BusReachable',
        'Paused',
        `NATS is connected; while paused, the operator leaves its streams alone: ${bus.message}`,
      );
  }
}

function deliveringOf(backlog: BacklogFacts): Finding {
  if (backlog.state === 'asBefore') {
    const { reason = '', message = '' } = backlog.condition ?? {};
    // It may have been written by a release with other reasons.
    if (isReasonOf('Delivering', reason)) return finding('Delivering', reason, message);
    return finding('Delivering', 'Unknown', 'NATS has not been queried yet');
  }
  const { waiting } = backlog;
  if (waiting.size === 0) return finding('Delivering', 'Delivering', 'no messages wait for a destination');
  const largest = [...waiting].sort(([, a], [, b]) => b.messages - a.messages);
  const named = largest
    .slice(0, namedRooms)
    .map(([room, one]) => `${one.messages} for ${roomText(room)}${sinceText(one)}`);
  const others = largest.length > namedRooms ? `, and more for ${largest.length - namedRooms} others` : '';
  return finding(
    'Delivering',
    'MessagesWaiting',
    `messages wait: ${named.join(', ')}${others}; repair what they wait for, and they follow by themselves`,
  );
}

function sinceText({ oldestMs, failingSinceMs }: WaitingMessages): string {
  const times = [
    ...(oldestMs === undefined ? [] : [`oldest of ${timeText(oldestMs)}`]),
    ...(failingSinceMs === undefined ? [] : [`failing since ${timeText(failingSinceMs)}`]),
  ];
  return times.length === 0 ? '' : ` (${times.join(', ')})`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

function roomText(room: string): string {
  if (room === deadLetterRoom) return 'room in the dead-letter stream';
  return room === unroutedRoom ? 'earlier messages of their connection' : `the destination of ${room}`;
}

const namedRooms = 8;
const connectingMessage = 'the operator is connecting to NATS';

function availableOf({ workload, kind, name }: Facts): Finding {
  if (workload === undefined) return finding('Available', 'NotCreated', `${kind}/${name} has no workload yet`);
  const { object, available, desired, existing, refusal } = workload;
  if (desired === 0) {
    return finding('Available', 'ScaledToZero', `${object} is scaled to zero pods; set spec.replicas`);
  }
  const counts = `${available} of ${desired} pods of ${object} are available`;
  if (available >= desired) return finding('Available', 'Available', counts);
  if (refusal !== undefined) return finding('Available', 'PodsRefused', `${counts}; ${refusedText(refusal)}`);
  // What keeps a stateful set from creating pods is only in its events.
  if (existing === 0) return finding('Available', 'PodsNotReady', `${counts}; see kubectl describe ${object}`);
  return finding('Available', 'PodsNotReady', `${counts}; see kubectl describe pods -l ${podSelectorOf(kind, name)}`);
}

function refusedText(refusal: string): string {
  return `the cluster refuses to create more; correct spec.template, or raise the quota: ${refusal}`;
}

function rollingOutOf({ workload, kind, name, heldImage, heldBy = [] }: Facts): Finding {
  if (workload === undefined) return finding('RollingOut', 'NotCreated', `${kind}/${name} has no workload yet`);
  const { object, desired, updated, existing, isObserved, isStuck, refusal } = workload;
  if (refusal !== undefined && (updated < desired || existing > updated)) {
    return finding('RollingOut', 'PodsRefused', `the rollout of ${object} makes no progress; ${refusedText(refusal)}`);
  }
  if (isStuck) {
    const advice = `see kubectl describe pods -l ${podSelectorOf(kind, name)}`;
    return finding('RollingOut', 'RolloutStuck', `the rollout of ${object} makes no progress; ${advice}`);
  }
  if (!isObserved || updated < desired || existing > updated) {
    return finding(
      'RollingOut',
      'PodsUpdating',
      `${updated} of ${desired} pods of ${object} run the specification that was applied last, and ${existing} exist`,
    );
  }
  if (heldImage !== undefined) {
    const cause =
      heldBy.length === 0
        ? ''
        : `; the rollout of ${heldBy.join(', ')} makes no progress and holds it back: repair that`;
    return finding(
      'RollingOut',
      'RolloutWaiting',
      `${object} keeps ${heldImage} and its settings until it is its turn to get those of this release${cause}; set spec.template.image to pin an image`,
    );
  }
  return finding('RollingOut', 'RolledOut', `every pod of ${object} runs the specification that was applied last`);
}

function endpointsMatchedOf({ groupName }: Facts, { counterpart, missing }: EndpointFacts): Finding {
  if (missing.length === 0) {
    return finding('EndpointsMatched', 'EndpointsMatched', 'gateways and message processors have the same endpoints');
  }
  const paths = missing === 'all' ? 'any endpoint' : missing.join(', ');
  if (counterpart === 'processor') {
    return finding(
      'EndpointsMatched',
      'ProcessorMissing',
      `no message processor of HydrogenGroup/${groupName} takes the messages of ${paths}, so clients that connect there get 503; add it to spec.endpoints of one, or create one`,
    );
  }
  return finding(
    'EndpointsMatched',
    'GatewayMissing',
    `no gateway of HydrogenGroup/${groupName} takes messages at ${paths}; correct spec.endpoints, or add it to a gateway`,
  );
}

function scalingOf({ failure }: NonNullable<Facts['scaling']>): Finding {
  return failure === undefined
    ? finding('Scaling', 'Scaling', 'the autoscaler sets the number of pods')
    : finding('Scaling', 'ScalingFailed', `the autoscaler cannot set the number of pods: ${failure}`);
}

function managementOf({ hasToken }: NonNullable<Facts['management']>): Finding {
  return hasToken
    ? finding('ManagementProtected', 'ManagementProtected', 'callers of the management API need a token')
    : finding(
        'ManagementProtected',
        'NoToken',
        'the management API needs no token: set spec.management.tokens, or let a network policy keep other pods away from port 8081',
      );
}

function clientAddressesOf({ field, hasTrustedProxies }: NonNullable<Facts['exposure']>): Finding {
  return hasTrustedProxies
    ? finding(
        'ClientAddressesKnown',
        'ClientAddressesKnown',
        'spec.trustedProxies says whose word about clients counts',
      )
    : finding(
        'ClientAddressesKnown',
        'NoTrustedProxies',
        `all clients that come through spec.${field} have its address for the authorizer, the log and the limits per address; set spec.trustedProxies to the addresses of its proxies`,
      );
}

function pausedOf({ pausedBy, groupName }: Facts): Finding {
  switch (pausedBy) {
    case 'object':
      return finding('Paused', 'Paused', 'the operator changes nothing; set spec.paused to false to resume');
    case 'group':
      return finding(
        'Paused',
        'GroupPaused',
        `the operator changes nothing because HydrogenGroup/${groupName} is paused`,
      );
    default:
      return finding('Paused', 'NotPaused', 'the operator keeps the object as specified');
  }
}
